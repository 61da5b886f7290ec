/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and parameters: what is accepted holds no control byte, and reads the same written
 * back. */
#include "format/smtp/params.h"
#include "format/smtp/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_clean(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        must(text.at[i] >= 32 && text.at[i] != 127);
}

static void check_path(struct slice text, enum smtp_path_kind kind)
{
    struct smtp_path path, again;
    struct smtp_mail_params mail;
    struct smtp_rcpt_params rcpt;
    struct buffer written;

    if (!smtp_path_take(&text, kind, &path, NULL))
        return;
    buffer_init(&written, 1000);
    must(smtp_path_write(&path, &written));
    check_clean(buffer_view(&written));
    if (path.has_domain) {
        must(smtp_address_parse(buffer_view(&written), &again, NULL) ||
             buffer_len(&written) > SMTP_ADDRESS_MAX);
        must(buffer_len(&written) > SMTP_ADDRESS_MAX ||
             (slice_equal(smtp_path_local(&path), smtp_path_local(&again)) &&
              slice_equal(smtp_path_domain(&path), smtp_path_domain(&again))));
    }
    if (smtp_mail_params_parse(text, &mail, NULL))
        check_clean(slice_of(mail.envid, mail.envid_len));
    if (smtp_rcpt_params_parse(text, &rcpt, NULL))
        check_clean(slice_of(rcpt.orcpt, rcpt.orcpt_len));
    buffer_deinit(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_path(slice_of(data, size), SMTP_PATH_SENDER);
    check_path(slice_of(data, size), SMTP_PATH_RECIPIENT);
    return 0;
}
