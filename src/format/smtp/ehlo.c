/* SPDX-License-Identifier: Apache-2.0 */
#include "format/smtp/ehlo.h"

static const struct {
    struct slice keyword;
    enum smtp_extension extension;
} extensions[] = {
    {SLICE_INIT("PIPELINING"), SMTP_PIPELINING},
    {SLICE_INIT("SIZE"), SMTP_SIZE},
    {SLICE_INIT("8BITMIME"), SMTP_8BITMIME},
    {SLICE_INIT("SMTPUTF8"), SMTP_SMTPUTF8},
    {SLICE_INIT("CHUNKING"), SMTP_CHUNKING},
    {SLICE_INIT("BINARYMIME"), SMTP_BINARYMIME},
    {SLICE_INIT("DSN"), SMTP_DSN},
    {SLICE_INIT("ENHANCEDSTATUSCODES"), SMTP_ENHANCED},
    {SLICE_INIT("STARTTLS"), SMTP_STARTTLS},
    {SLICE_INIT("REQUIRETLS"), SMTP_REQUIRETLS},
    {SLICE_INIT("AUTH"), SMTP_AUTH},
};

static unsigned mechanisms_parse(struct slice words)
{
    unsigned mechanisms = 0;

    while (words.len > 0) {
        struct slice word = slice_cut(&words, ' ');

        if (slice_equal_nocase(word, S("PLAIN")))
            mechanisms |= SMTP_AUTH_PLAIN;
        if (slice_equal_nocase(word, S("LOGIN")))
            mechanisms |= SMTP_AUTH_LOGIN;
    }
    return mechanisms;
}

static void keyword_take(struct smtp_ehlo *ehlo, enum smtp_extension extension,
                         struct slice args)
{
    if (extension == SMTP_SIZE && args.len > 0 && !slice_parse_u64(args, &ehlo->size_max)) {
        ehlo->size_max = 0;
        return;
    }
    if (extension == SMTP_AUTH)
        ehlo->mechanisms |= mechanisms_parse(args);
    ehlo->extensions |= extension;
}

void smtp_ehlo_parse(struct slice reply_text, struct smtp_ehlo *ehlo_out)
{
    *ehlo_out = (struct smtp_ehlo){0};
    slice_cut(&reply_text, '\n');
    while (reply_text.len > 0) {
        struct slice args = slice_trim(slice_cut(&reply_text, '\n'));
        struct slice keyword = slice_cut(&args, ' ');

        for (size_t i = 0; i < COUNT_OF(extensions); i++)
            if (slice_equal_nocase(keyword, extensions[i].keyword))
                keyword_take(ehlo_out, extensions[i].extension, slice_trim(args));
    }
}
