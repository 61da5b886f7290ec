/* SPDX-License-Identifier: Apache-2.0 */
#include "format/smtp/command.h"

static const struct {
    const char *name_cstr;
    enum smtp_verb verb;
} verbs[] = {
    {"EHLO", SMTP_VERB_EHLO},         {"HELO", SMTP_VERB_HELO}, {"MAIL", SMTP_VERB_MAIL},
    {"RCPT", SMTP_VERB_RCPT},         {"DATA", SMTP_VERB_DATA}, {"BDAT", SMTP_VERB_BDAT},
    {"RSET", SMTP_VERB_RSET},         {"NOOP", SMTP_VERB_NOOP}, {"QUIT", SMTP_VERB_QUIT},
    {"VRFY", SMTP_VERB_VRFY},         {"EXPN", SMTP_VERB_EXPN}, {"HELP", SMTP_VERB_HELP},
    {"STARTTLS", SMTP_VERB_STARTTLS}, {"AUTH", SMTP_VERB_AUTH},
};

/* How other protocols begin. A command of ours never begins like one of them. */
static const struct slice foreign[] = {
    SLICE_INIT("GET "),     SLICE_INIT("POST "),    SLICE_INIT("HEAD "),
    SLICE_INIT("PUT "),     SLICE_INIT("OPTIONS "), SLICE_INIT("DELETE "),
    SLICE_INIT("PATCH "),   SLICE_INIT("TRACE "),   SLICE_INIT("CONNECT "),
    SLICE_INIT("PRI * "),   SLICE_INIT("PROXY "),   SLICE_INIT("SSH-"),
    SLICE_INIT("\x16\x03"), SLICE_INIT("\x03\0"),   SLICE_INIT("\r\n\r\n\0\r\nQUIT\n"),
};

bool smtp_is_foreign(struct slice first_bytes)
{
    for (size_t i = 0; i < COUNT_OF(foreign); i++)
        if (slice_starts_with(first_bytes, foreign[i]))
            return true;
    return false;
}

static enum smtp_line_fault line_check(struct slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.at[i] == '\r')
            return SMTP_LINE_BARE;
        if ((line.at[i] < 32 && line.at[i] != '\t') || line.at[i] == 127)
            return SMTP_LINE_CONTROL;
    }
    return SMTP_LINE_FINE;
}

enum progress smtp_line_next(struct smtp_line_reader *reader, struct slice *input,
                             size_t line_max, struct slice *line_out,
                             enum smtp_line_fault *fault_out)
{
    size_t end = slice_find_byte(*input, '\n');
    bool has_cr = end > 0 && input->at[end - 1] == '\r';

    *line_out = (struct slice){NULL, 0};
    if (end == input->len) {
        if (reader->skipped > 0 || end > line_max + 1) {
            reader->skipped += end;
            *input = slice_from(*input, end);
        }
        return PROGRESS_WAIT;
    }
    if (reader->skipped > 0 || end > line_max + has_cr)
        *fault_out = SMTP_LINE_LONG;
    else if (!has_cr)
        *fault_out = SMTP_LINE_BARE;
    else
        *fault_out = line_check(slice_head(*input, end - 1));
    reader->skipped = 0;
    if (*fault_out == SMTP_LINE_FINE)
        *line_out = slice_head(*input, end - 1);
    *input = slice_from(*input, end + 1);
    return PROGRESS_DONE;
}

void smtp_command_parse(struct slice line, struct smtp_command *command_out)
{
    struct slice rest = line;
    struct slice verb = slice_cut(&rest, ' ');

    *command_out = (struct smtp_command){SMTP_VERB_UNKNOWN, slice_trim(rest)};
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (slice_equal_nocase(verb, slice_from_cstr(verbs[i].name_cstr))) {
            command_out->verb = verbs[i].verb;
            return;
        }
    if (smtp_is_foreign(line))
        command_out->verb = SMTP_VERB_FOREIGN;
}

const char *smtp_verb_name(enum smtp_verb verb)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (verbs[i].verb == verb)
            return verbs[i].name_cstr;
    return "";
}

bool smtp_helo_parse(struct slice args, struct slice *name_out)
{
    struct slice name = slice_cut(&args, ' ');
    struct slice barred = S("<>()\"\\@;,");

    if (name.len == 0 || name.len > 255)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] <= 32 || name.at[i] >= 127 ||
            slice_find_byte(barred, name.at[i]) < barred.len)
            return false;
    *name_out = name;
    return true;
}

bool smtp_bdat_parse(struct slice args, uint64_t *size_out, bool *is_last_out)
{
    struct slice size = slice_cut(&args, ' ');

    args = slice_trim(args);
    *is_last_out = slice_equal_nocase(args, S("LAST"));
    return (*is_last_out || args.len == 0) && slice_parse_u64(size, size_out);
}
