/* SPDX-License-Identifier: Apache-2.0 */
/* Signature lines for one message. */
#include "scribe/internal.h"

#include "base/log.h"

#include <stdlib.h>
#include <time.h>

enum { PREFIX_MAX = 64 * 1024, DOMAIN_SIZE = 256 };

struct signing {
    struct piecework work;
    uint64_t ask;
    char domain_cstr[DOMAIN_SIZE];
    struct spool_reader *reader;
    struct dkim_reading *reading;
};

static void signing_free(struct piecework *work)
{
    struct signing *signing = work->context;

    dkim_reading_free(&signing->reading);
    spool_reader_close(&signing->reader);
    free(signing);
}

static void answer(struct scribe *scribe, const struct signing *signing, struct slice prefix,
                   const struct err *err)
{
    struct ipc_signature it = {.ask = signing->ask, .ok = err == NULL, .prefix = prefix};

    if (err != NULL) {
        LOG(LOG_WARN, "scribe.not_signed", log_cstr("domain", signing->domain_cstr),
            log_cstr("why", err->text_cstr));
        it.text = slice_from_cstr(err->text_cstr);
    }
    scribe__answer(scribe, IPC_SIGNATURE, &it);
}

/* All was read: sign with the keys of today. */
static void sign_all(struct scribe *scribe, const struct signing *signing)
{
    const struct settings *settings = scribe->settings;
    const struct settings_domain *domain =
        settings_domain_find(settings, slice_from_cstr(signing->domain_cstr));
    struct buffer prefix;
    struct err err = {0};
    bool made = true;

    buffer_init(&prefix, PREFIX_MAX);
    if (domain != NULL) {
        const struct domain_keys *keys = &scribe->domain_keys[domain - settings->domains];

        made = dkim_reading_sign(signing->reading, slice_from_cstr(domain->name_cstr),
                                 keys->keys, keys->count, (int64_t)time(NULL), &prefix, &err);
    }
    answer(scribe, signing, buffer_view(&prefix), made ? NULL : &err);
    buffer_deinit(&prefix);
}

static bool signing_step(struct scribe *scribe, struct piecework *work, uint64_t max_bytes)
{
    struct signing *signing = work->context;
    struct err err = {0};

    switch (dkim_reading_step(signing->reading, max_bytes, &err)) {
    case PROGRESS_WAIT:
        return false;
    case PROGRESS_DONE:
        sign_all(scribe, signing);
        return true;
    case PROGRESS_FAIL:
        break;
    }
    answer(scribe, signing, S(""), &err);
    return true;
}

void scribe__sign(struct scribe *scribe, const struct ipc_sign *question)
{
    const struct settings_domain *domain =
        settings_domain_find(scribe->settings, question->domain);
    struct signing *signing = calloc(1, sizeof *signing);
    struct content_source source;
    struct err err = {0};

    must(signing != NULL);
    signing->work =
        (struct piecework){.context = signing, .step = signing_step, .free = signing_free};
    signing->ask = question->ask;
    if (domain == NULL || domain->dkim_key_count == 0) {
        answer(scribe, signing, S(""), NULL);
        signing_free(&signing->work);
        return;
    }
    must(slice_to_cstr(slice_from_cstr(domain->name_cstr), signing->domain_cstr,
                       sizeof signing->domain_cstr));
    if (!spool_reader_open(scribe->options.queue_fd, &question->content, &question->data_key,
                           &signing->reader, &err)) {
        answer(scribe, signing, S(""), &err);
        signing_free(&signing->work);
        return;
    }
    source = source_of_spool(signing->reader);
    signing->reading = dkim_reading_new(&source);
    scribe__begin(scribe, &signing->work);
}
