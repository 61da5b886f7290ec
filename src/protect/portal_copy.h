/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealed portal copy of a message: what its reader needs, taken apart and made harmless here, so
 * that the process that faces the reader never parses mail. See protect/portal_container.h for
 * the form and protect/portal_key.h for the keys.
 *
 * The readable text is every text part that is no attachment, in order; of alternatives both the
 * plain and the HTML form. HTML is sanitised, pictures of the message that it names are put into it,
 * the rest are files. Two passes over the source; memory does not grow with the files. A message
 * that no reader could take apart within limits is given whole, as one file.
 */
#ifndef PROTECT_PORTAL_COPY_H
#define PROTECT_PORTAL_COPY_H

#include "protect/portal_container.h"
#include "protect/source.h"

/* Where the copy goes, piece by piece. */
struct copy_sink {
    void *context;
    bool (*write)(void *context, struct slice bytes, struct err *err);
};

/* Errors: only those of source and sink. */
MUST_CHECK bool portal_copy_write(const struct content_source *source,
                                  const struct copy_sink *sink, struct err *err);

/*
 * The same in steps, for messages that are too large for one turn of a loop.
 *
 * source, sink   copied; what they point to is borrowed
 * step           reads about max_bytes; what is read twice counts twice. DONE: the copy is written. WAIT: there
 *                is more to do. FAIL: only free is left
 */
struct portal_copier;
struct portal_copier *portal_copier_new(const struct content_source *source,
                                        const struct copy_sink *sink);
MUST_CHECK enum progress portal_copier_step(struct portal_copier *copier, uint64_t max_bytes,
                                            struct err *err);
/* Wipes. NULL inside is fine. */
void portal_copier_free(struct portal_copier **copier);

#endif
