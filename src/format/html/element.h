/* SPDX-License-Identifier: Apache-2.0 */
/* The elements and attributes that foreign HTML may keep, as one table. */
#ifndef FORMAT_HTML_ELEMENT_H
#define FORMAT_HTML_ELEMENT_H

#include "base/slice.h"

enum element_flag {
    ELEMENT_VOID = 1,    /* has no end tag */
    ELEMENT_DROP = 2,    /* dropped with all that is inside */
    ELEMENT_BLOCK = 4,   /* begins a new line as text; ends an open <p> */
    ELEMENT_BARRIER = 8, /* end tags from inside do not reach past it */
    ELEMENT_TABLE = 16,  /* a part of a table: its end tag does reach past cells */
    ELEMENT_ITEM = 32,   /* ended by the next of its kind: li, dt, dd, td, th, tr */
};

enum { ELEMENT_NONE = -1, ELEMENT_COUNT_MAX = 128 };

struct element {
    struct slice name; /* lower case */
    unsigned flags;
};

/* Index of an element by its name (any case), ELEMENT_NONE when its tags are to be left out. */
int element_find(struct slice name);
const struct element *element_get(int index);

enum attribute_kind {
    ATTRIBUTE_TEXT,   /* any text */
    ATTRIBUTE_WORD,   /* letters, digits and -: a language, a direction, an alignment */
    ATTRIBUTE_NUMBER, /* digits and perhaps %: at most 5 of them */
    ATTRIBUTE_COLOUR,
    ATTRIBUTE_STYLE,
    ATTRIBUTE_LINK,  /* href of <a> */
    ATTRIBUTE_IMAGE, /* src of <img> */
};

struct attribute {
    struct slice name;
    enum attribute_kind kind;
    struct slice elements; /* " td th " or empty for all */
};

/* Index of an allowed attribute on that element, ELEMENT_NONE when it is not. */
int attribute_find(struct slice name, struct slice element);
const struct attribute *attribute_get(int index);

#endif
