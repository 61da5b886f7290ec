/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/source.h"

static bool spool_next(void *context, struct slice *piece_out, struct err *err)
{
    return spool_reader_next(context, piece_out, err);
}

static bool spool_rewind(void *context, struct err *err)
{
    return spool_reader_seek(context, 0, err);
}

struct content_source source_of_spool(struct spool_reader *reader)
{
    return (struct content_source){reader, spool_reader_plain_bytes(reader), spool_next,
                                   spool_rewind};
}

static bool memory_next(void *context, struct slice *piece_out, struct err *err)
{
    struct memory_source *memory = context;

    (void)err;
    *piece_out = slice_from(memory->bytes, memory->at);
    if (memory->piece > 0)
        *piece_out = slice_head(*piece_out, memory->piece);
    memory->at += piece_out->len;
    return true;
}

static bool memory_rewind(void *context, struct err *err)
{
    struct memory_source *memory = context;

    (void)err;
    memory->at = 0;
    return true;
}

struct content_source source_of_memory(struct memory_source *memory)
{
    return (struct content_source){memory, memory->bytes.len, memory_next, memory_rewind};
}
