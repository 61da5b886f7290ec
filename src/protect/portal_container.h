/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealed portal copy: a message taken apart by the scribe, so that the portal shows it without
 * parsing mail. It is the plaintext of one message in a portal segment (spool/segment.h), sealed
 * under its content key. Numbers are big endian:
 *
 *      0   8  magic "PSTNCPY1"
 *      8   4  M, length of the manifest, at most PORTAL_MANIFEST_MAX
 *     12   M  manifest: records of tag (1), length (4), bytes
 *   12+M   .  the parts' bytes, one part behind the other, in the manifest's order
 *
 * Records: 1 from, 2 to, 3 cc, 4 subject, 5 date - each at most once, clean UTF-8 on one line,
 * missing when empty. 16 part, as often as there are parts: kind (1; 1 text, 2 html, 3 attachment),
 * size in bytes (8), length of type (2), type "image/png", length of name (2), file name.
 * There is at most one text and one html part; they come first. Text is clean UTF-8 with LF; html
 * is the output of html_sanitise: a fragment to be shown in a sandboxed frame. Names hold no path, no
 * control character and are never empty for attachments; types are "type/subtype" in lower case
 * and are a stranger's claim: always serve attachments as downloads, with nosniff.
 */
#ifndef PROTECT_PORTAL_CONTAINER_H
#define PROTECT_PORTAL_CONTAINER_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/secret.h"
#include "spool/content.h"

enum {
    PORTAL_MANIFEST_MAX = 1024 * 1024,
    PORTAL_PARTS_MAX = 1002, /* as many as MIME has, and the two bodies */
    PORTAL_HEAD_BYTES = 12,
    PORTAL_NAME_MAX = 200,
};

enum portal_part_kind { PORTAL_PART_TEXT = 1, PORTAL_PART_HTML, PORTAL_PART_ATTACHMENT };

struct portal_part {
    enum portal_part_kind kind;
    uint64_t offset; /* in the container */
    uint64_t size;   /* bytes */
    struct slice type, name;
};

struct portal_manifest {
    struct slice from, to, cc, subject, date; /* empty = not there */
    struct portal_part parts[PORTAL_PARTS_MAX];
    size_t part_count;
};

/*
 * Read a manifest (the M bytes). container_bytes: length of the whole, which the parts must fill
 * exactly. ERR_PERM: anything at all that the layout above does not allow. Views into `bytes`.
 */
MUST_CHECK bool portal_manifest_parse(struct slice bytes, uint64_t container_bytes,
                                      struct portal_manifest *manifest_out, struct err *err);
/* Append head and manifest; offsets in `manifest` are not looked at. False: too large for `out`. */
MUST_CHECK bool portal_manifest_write(const struct portal_manifest *manifest,
                                      struct buffer *out);

struct portal_container;

/*
 * Open the sealed copy `ref` in the folder dir_fd with its content key and read the manifest.
 * Errors  ERR_PERM: missing, damaged, another key, or no container. ERR_TEMP: cannot be read now.
 * Owner   the caller: portal_container_close. Memory: one chunk and the manifest.
 */
MUST_CHECK bool portal_container_open(int dir_fd, const struct content_ref *ref,
                                      const struct secret *content_key,
                                      struct portal_container **container_out, struct err *err);
/* Wipes. NULL is fine. */
void portal_container_close(struct portal_container **container);
/* Lives as long as the container. */
const struct portal_manifest *
portal_container_manifest(const struct portal_container *container);
/* Go to the start of part `index` of the manifest. Errors as spool_reader_seek. */
MUST_CHECK bool portal_container_part(struct portal_container *container, size_t index,
                                      struct err *err);
/*
 * The next piece (at most 64 KiB) of that part; empty at its end. The view dies at the next call.
 * ERR_PERM: damaged: stop the answer, so that the reader notices. ERR_TEMP: cannot be read now.
 */
MUST_CHECK bool portal_container_next(struct portal_container *container,
                                      struct slice *piece_out, struct err *err);

#endif
