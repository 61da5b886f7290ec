/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over every file of the folders given, once: the corpus as an ordinary test.
 * Each file is fed whole and cut off at a few places, so that truncated input is always tried.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path_cstr)
{
    FILE *file = fopen(path_cstr, "rb");
    uint8_t *bytes = malloc(1 << 20);
    size_t size;

    if (file == NULL || bytes == NULL) {
        fprintf(stderr, "cannot read %s\n", path_cstr);
        return 1;
    }
    size = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    for (size_t cut = 0; cut <= size; cut += size / 16 + 1) {
        /* An exact copy, so that a sanitizer sees one byte too far. */
        uint8_t *exact = malloc(cut + (cut == 0));

        memcpy(exact, bytes, cut);
        LLVMFuzzerTestOneInput(exact, cut);
        free(exact);
    }
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0, count = 0;

    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        struct dirent *entry;
        char path_cstr[4096];

        if (folder == NULL) {
            fprintf(stderr, "no corpus in %s\n", argv[i]);
            return 1;
        }
        while ((entry = readdir(folder)) != NULL) {
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path_cstr, sizeof path_cstr, "%s/%s", argv[i], entry->d_name);
            failed += replay_file(path_cstr);
            count++;
        }
        closedir(folder);
    }
    printf("%d inputs replayed\n", count);
    return failed != 0 || count == 0;
}
