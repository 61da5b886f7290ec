/* SPDX-License-Identifier: Apache-2.0 */
/* Signature lines for one message. */
#include "scribe/internal.h"

#include "base/log.h"

#include <time.h>

enum { PREFIX_MAX = 64 * 1024 };

static bool make_prefix(struct scribe *scribe, const struct ipc_sign *question,
                        const struct domain_keys *keys, struct buffer *prefix, struct err *err)
{
    struct spool_reader *reader;
    struct content_source source;
    bool made;

    if (!spool_reader_open(scribe->options.queue_fd, &question->content, &question->data_key,
                           &reader, err))
        return false;
    source = source_of_spool(reader);
    made = dkim_sign(&source, question->domain, keys->keys, keys->count, (int64_t)time(NULL),
                     prefix, err);
    spool_reader_close(&reader);
    return made;
}

void scribe__sign(struct scribe *scribe, const struct ipc_sign *question)
{
    const struct settings_domain *domain =
        settings_domain_find(scribe->settings, question->domain);
    struct ipc_signature answer = {.ask = question->ask, .ok = true};
    struct buffer prefix;
    struct err err = {0};

    buffer_init(&prefix, PREFIX_MAX);
    if (domain != NULL && domain->dkim_key_count > 0)
        answer.ok = make_prefix(scribe, question,
                                &scribe->domain_keys[domain - scribe->settings->domains],
                                &prefix, &err);
    if (!answer.ok) {
        LOG(LOG_WARN, "scribe.not_signed", log_cstr("domain", domain->name_cstr),
            log_cstr("why", err.text_cstr));
        answer.text = slice_from_cstr(err.text_cstr);
    }
    answer.prefix = buffer_view(&prefix);
    scribe__answer(scribe, IPC_SIGNATURE, &answer);
    buffer_deinit(&prefix);
}
