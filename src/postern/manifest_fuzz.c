/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a manifest; what is taken must come back the same when it is written and read again. */
#include "postern/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(const struct manifest *manifest)
{
    struct manifest again;
    struct buffer text;
    struct err err = {0};

    buffer_init(&text, MANIFEST_MAX_BYTES);
    must(manifest_write(manifest, &text));
    must(manifest_parse(buffer_view(&text), &again, &err));
    must(again.piece_count == manifest->piece_count && again.made_ms == manifest->made_ms &&
         again.has_master == manifest->has_master);
    manifest_deinit(&again);
    buffer_deinit(&text);
}

/*
 * Nobody guesses the digest of the last line: the bytes are also tried with the right one behind
 * them, so that what the lines say is reached.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    struct slice text = slice_of(data, size);
    uint8_t digest[SHA256_BYTES];
    struct manifest manifest;
    struct buffer whole;
    struct err err = {0};

    if (manifest_parse(text, &manifest, &err)) {
        write_and_read(&manifest);
        manifest_deinit(&manifest);
    }
    buffer_init(&whole, MANIFEST_MAX_BYTES);
    if (!buffer_append(&whole, text))
        return 0;
    sha256(text, digest);
    must(buffer_append(&whole, S("end ")));
    for (size_t i = 0; i < SHA256_BYTES; i++)
        must(buffer_append_byte(&whole, (uint8_t)digits[digest[i] >> 4]) &&
             buffer_append_byte(&whole, (uint8_t)digits[digest[i] & 15]));
    if (manifest_parse(buffer_view(&whole), &manifest, &err)) {
        write_and_read(&manifest);
        manifest_deinit(&manifest);
    }
    buffer_deinit(&whole);
    return 0;
}
