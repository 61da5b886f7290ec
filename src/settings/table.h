/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every setting is one row: name, kind of value, where it goes, default, range. From the rows come the
 * grammar that libconfuse is given, the conversion, and `postern show-settings`. To add a setting: a
 * field in settings.h, a row in table.c, a commented line in conf/postern.conf (a test compares them).
 */
#ifndef SETTINGS_TABLE_H
#define SETTINGS_TABLE_H

#include "settings/settings.h"

enum value_kind {
    VALUE_TEXT,       /* const char * */
    VALUE_DOMAIN,     /* const char *, lower-case A-labels */
    VALUE_HOST_PORT,  /* const char *, "host", "host:port" or "[address]:port" */
    VALUE_PATH,       /* const char *, made relative to the settings file's folder */
    VALUE_FILE,       /* struct settings_file */
    VALUE_ORIGIN,     /* const char *, https://host[:port] */
    VALUE_PASSWORD,   /* const char *, argon2id */
    VALUE_FLAG,       /* bool */
    VALUE_COUNT,      /* uint32_t */
    VALUE_PORT,       /* uint16_t */
    VALUE_SIZE,       /* uint64_t */
    VALUE_SMALL_SIZE, /* uint32_t */
    VALUE_DURATION,   /* int64_t */
    VALUE_ADDRESS,    /* struct sockaddr_storage, its length at `second` */
    VALUE_WORD,       /* an enum: the number of the word in `words` */
    VALUE_TEXTS,      /* const char *const *, their number at `second` */
    VALUE_NETWORKS,   /* struct settings_network *, their number at `second` */
    VALUE_METHODS,    /* enum method[METHOD_COUNT], their number at `second` */
};

struct settings_row {
    const char *name_cstr;
    enum value_kind kind;
    size_t offset;            /* in the section's struct */
    size_t second;            /* offset of the length or number that goes with it */
    const char *default_cstr; /* as one would write it; NULL = must be written ("" = unset) */
    uint64_t min, max;        /* numbers, sizes, times; 0, 0 = any */
    const char *const *words; /* VALUE_WORD: ends with NULL */
};

struct settings_section {
    const char *name_cstr;
    bool is_many;                /* may be repeated, each with a title */
    size_t offset, count_offset; /* in the parent's struct; is_many: pointer and number */
    size_t struct_bytes;
    size_t title_offset; /* is_many: const char * */
    enum value_kind title_kind;
    const struct settings_row *rows;
    size_t row_count;
    const struct settings_section *inner;
    size_t inner_count;
};

extern const struct settings_section settings_root;

#endif
