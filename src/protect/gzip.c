/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/gzip.h"

#include <zlib.h>

enum { WINDOW_GZIP = 15 + 16, PIECE_BYTES = 32 << 10 };

static void give_input(z_stream *stream, struct slice bytes)
{
    stream->next_in = (Bytef *)(uintptr_t)bytes.at; /* zlib only reads it */
    stream->avail_in = (uInt)bytes.len;
}

/* One more piece of output. False: no room for it. */
static bool take_output(z_stream *stream, struct buffer *out, int (*step)(z_stream *, int),
                        int flush, int *got_out)
{
    size_t len = buffer_room(out) < PIECE_BYTES ? buffer_room(out) : PIECE_BYTES;
    uint8_t *to = len == 0 ? NULL : buffer_reserve(out, len);

    if (to == NULL)
        return false;
    stream->next_out = to;
    stream->avail_out = (uInt)len;
    *got_out = step(stream, flush);
    buffer_commit(out, len - stream->avail_out);
    return true;
}

bool gzip_pack(struct slice plain, struct buffer *out, struct err *err)
{
    z_stream stream = {0};
    int got = Z_OK;
    bool fits = true;

    must(plain.len <= UINT32_MAX);
    must(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, WINDOW_GZIP, 8,
                      Z_DEFAULT_STRATEGY) == Z_OK);
    give_input(&stream, plain);
    while (fits && got == Z_OK)
        fits = take_output(&stream, out, deflate, Z_FINISH, &got);
    (void)deflateEnd(&stream);
    return (fits && got == Z_STREAM_END) || FAIL(err, ERR_PERM, "too large when packed");
}

static bool grows_too_fast(const z_stream *stream)
{
    return stream->total_out > GZIP_FREE_BYTES &&
           stream->total_out / GZIP_RATIO_MAX > stream->total_in;
}

bool gzip_unpack(struct slice packed, struct buffer *out, struct err *err)
{
    z_stream stream = {0};
    int got = Z_OK;
    bool fits = true;

    if (packed.len > UINT32_MAX)
        return FAIL(err, ERR_PEER, "the compressed data is too large");
    must(inflateInit2(&stream, WINDOW_GZIP) == Z_OK);
    give_input(&stream, packed);
    while (fits && got == Z_OK)
        fits = take_output(&stream, out, inflate, Z_NO_FLUSH, &got) && !grows_too_fast(&stream);
    (void)inflateEnd(&stream);
    if (!fits)
        return FAIL(err, ERR_PEER, "the compressed data holds more than is allowed");
    return got == Z_STREAM_END || FAIL(err, ERR_PEER, "the compressed data is damaged");
}
