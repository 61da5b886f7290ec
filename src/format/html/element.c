/* SPDX-License-Identifier: Apache-2.0 */
#include "format/html/element.h"

#define BLOCK_OR(flags) (ELEMENT_BLOCK | (flags))

/* What is not here loses its tags and keeps its content. */
static const struct element elements[] = {
    {SLICE_INIT("a"), 0},
    {SLICE_INIT("abbr"), 0},
    {SLICE_INIT("address"), ELEMENT_BLOCK},
    {SLICE_INIT("article"), ELEMENT_BLOCK},
    {SLICE_INIT("aside"), ELEMENT_BLOCK},
    {SLICE_INIT("b"), 0},
    {SLICE_INIT("bdi"), 0},
    {SLICE_INIT("big"), 0},
    {SLICE_INIT("blockquote"), ELEMENT_BLOCK},
    {SLICE_INIT("br"), ELEMENT_VOID},
    {SLICE_INIT("caption"), BLOCK_OR(ELEMENT_BARRIER | ELEMENT_TABLE)},
    {SLICE_INIT("center"), ELEMENT_BLOCK},
    {SLICE_INIT("cite"), 0},
    {SLICE_INIT("code"), 0},
    {SLICE_INIT("col"), ELEMENT_VOID},
    {SLICE_INIT("colgroup"), ELEMENT_TABLE},
    {SLICE_INIT("dd"), BLOCK_OR(ELEMENT_ITEM)},
    {SLICE_INIT("del"), 0},
    {SLICE_INIT("dfn"), 0},
    {SLICE_INIT("div"), ELEMENT_BLOCK},
    {SLICE_INIT("dl"), ELEMENT_BLOCK},
    {SLICE_INIT("dt"), BLOCK_OR(ELEMENT_ITEM)},
    {SLICE_INIT("em"), 0},
    {SLICE_INIT("figcaption"), ELEMENT_BLOCK},
    {SLICE_INIT("figure"), ELEMENT_BLOCK},
    {SLICE_INIT("font"), 0},
    {SLICE_INIT("footer"), ELEMENT_BLOCK},
    {SLICE_INIT("h1"), ELEMENT_BLOCK},
    {SLICE_INIT("h2"), ELEMENT_BLOCK},
    {SLICE_INIT("h3"), ELEMENT_BLOCK},
    {SLICE_INIT("h4"), ELEMENT_BLOCK},
    {SLICE_INIT("h5"), ELEMENT_BLOCK},
    {SLICE_INIT("h6"), ELEMENT_BLOCK},
    {SLICE_INIT("header"), ELEMENT_BLOCK},
    {SLICE_INIT("hr"), BLOCK_OR(ELEMENT_VOID)},
    {SLICE_INIT("i"), 0},
    {SLICE_INIT("img"), ELEMENT_VOID},
    {SLICE_INIT("ins"), 0},
    {SLICE_INIT("kbd"), 0},
    {SLICE_INIT("li"), BLOCK_OR(ELEMENT_ITEM)},
    {SLICE_INIT("main"), ELEMENT_BLOCK},
    {SLICE_INIT("mark"), 0},
    {SLICE_INIT("ol"), ELEMENT_BLOCK},
    {SLICE_INIT("p"), ELEMENT_BLOCK},
    {SLICE_INIT("pre"), ELEMENT_BLOCK},
    {SLICE_INIT("q"), 0},
    {SLICE_INIT("s"), 0},
    {SLICE_INIT("samp"), 0},
    {SLICE_INIT("section"), ELEMENT_BLOCK},
    {SLICE_INIT("small"), 0},
    {SLICE_INIT("span"), 0},
    {SLICE_INIT("strike"), 0},
    {SLICE_INIT("strong"), 0},
    {SLICE_INIT("sub"), 0},
    {SLICE_INIT("sup"), 0},
    {SLICE_INIT("table"), BLOCK_OR(ELEMENT_BARRIER | ELEMENT_TABLE)},
    {SLICE_INIT("tbody"), ELEMENT_TABLE},
    {SLICE_INIT("td"), ELEMENT_BARRIER | ELEMENT_TABLE | ELEMENT_ITEM},
    {SLICE_INIT("tfoot"), ELEMENT_TABLE},
    {SLICE_INIT("th"), ELEMENT_BARRIER | ELEMENT_TABLE | ELEMENT_ITEM},
    {SLICE_INIT("thead"), ELEMENT_TABLE},
    {SLICE_INIT("time"), 0},
    {SLICE_INIT("tr"), BLOCK_OR(ELEMENT_TABLE | ELEMENT_ITEM)},
    {SLICE_INIT("tt"), 0},
    {SLICE_INIT("u"), 0},
    {SLICE_INIT("ul"), ELEMENT_BLOCK},
    {SLICE_INIT("var"), 0},
    {SLICE_INIT("wbr"), ELEMENT_VOID},
    /* Dropped with their content: they run, load, ask for input, or are another language. */
    {SLICE_INIT("applet"), ELEMENT_DROP},
    {SLICE_INIT("audio"), ELEMENT_DROP},
    {SLICE_INIT("canvas"), ELEMENT_DROP},
    {SLICE_INIT("datalist"), ELEMENT_DROP},
    {SLICE_INIT("frameset"), ELEMENT_DROP},
    {SLICE_INIT("math"), ELEMENT_DROP},
    {SLICE_INIT("object"), ELEMENT_DROP},
    {SLICE_INIT("select"), ELEMENT_DROP},
    {SLICE_INIT("svg"), ELEMENT_DROP},
    {SLICE_INIT("template"), ELEMENT_DROP},
    {SLICE_INIT("video"), ELEMENT_DROP},
};

static const struct attribute attributes[] = {
    {SLICE_INIT("align"), ATTRIBUTE_WORD, SLICE_INIT("")},
    {SLICE_INIT("alt"), ATTRIBUTE_TEXT, SLICE_INIT(" img ")},
    {SLICE_INIT("bgcolor"), ATTRIBUTE_COLOUR, SLICE_INIT(" table tbody tr td th ")},
    {SLICE_INIT("border"), ATTRIBUTE_NUMBER, SLICE_INIT(" table img ")},
    {SLICE_INIT("cellpadding"), ATTRIBUTE_NUMBER, SLICE_INIT(" table ")},
    {SLICE_INIT("cellspacing"), ATTRIBUTE_NUMBER, SLICE_INIT(" table ")},
    {SLICE_INIT("color"), ATTRIBUTE_COLOUR, SLICE_INIT(" font hr ")},
    {SLICE_INIT("colspan"), ATTRIBUTE_NUMBER, SLICE_INIT(" td th ")},
    {SLICE_INIT("dir"), ATTRIBUTE_WORD, SLICE_INIT("")},
    {SLICE_INIT("face"), ATTRIBUTE_TEXT, SLICE_INIT(" font ")},
    {SLICE_INIT("height"), ATTRIBUTE_NUMBER, SLICE_INIT(" table tr td th img ")},
    {SLICE_INIT("href"), ATTRIBUTE_LINK, SLICE_INIT(" a ")},
    {SLICE_INIT("lang"), ATTRIBUTE_WORD, SLICE_INIT("")},
    {SLICE_INIT("rowspan"), ATTRIBUTE_NUMBER, SLICE_INIT(" td th ")},
    {SLICE_INIT("size"), ATTRIBUTE_NUMBER, SLICE_INIT(" font hr ")},
    {SLICE_INIT("span"), ATTRIBUTE_NUMBER, SLICE_INIT(" col colgroup ")},
    {SLICE_INIT("src"), ATTRIBUTE_IMAGE, SLICE_INIT(" img ")},
    {SLICE_INIT("start"), ATTRIBUTE_NUMBER, SLICE_INIT(" ol ")},
    {SLICE_INIT("style"), ATTRIBUTE_STYLE, SLICE_INIT("")},
    {SLICE_INIT("title"), ATTRIBUTE_TEXT, SLICE_INIT("")},
    {SLICE_INIT("type"), ATTRIBUTE_WORD, SLICE_INIT(" ol ul li ")},
    {SLICE_INIT("valign"), ATTRIBUTE_WORD, SLICE_INIT(" tbody tr td th ")},
    {SLICE_INIT("value"), ATTRIBUTE_NUMBER, SLICE_INIT(" li ")},
    {SLICE_INIT("width"), ATTRIBUTE_NUMBER, SLICE_INIT(" table col td th img hr ")},
};

int element_find(struct slice name)
{
    if (name.len == 0 || name.len > 10)
        return ELEMENT_NONE;
    for (size_t i = 0; i < COUNT_OF(elements); i++)
        if (byte_lower(name.at[0]) == elements[i].name.at[0] &&
            slice_equal_nocase(name, elements[i].name))
            return (int)i;
    return ELEMENT_NONE;
}

const struct element *element_get(int index)
{
    must(index >= 0 && (size_t)index < COUNT_OF(elements));
    return &elements[index];
}

/* Does the list " td th " hold the word? */
static bool list_holds(struct slice list, struct slice word)
{
    while (list.len > 0) {
        if (slice_equal(slice_cut(&list, ' '), word))
            return true;
    }
    return false;
}

int attribute_find(struct slice name, struct slice element)
{
    if (name.len == 0 || name.len > 11)
        return ELEMENT_NONE;
    for (size_t i = 0; i < COUNT_OF(attributes); i++)
        if (slice_equal_nocase(name, attributes[i].name))
            return attributes[i].elements.len == 0 ||
                           list_holds(attributes[i].elements, element)
                       ? (int)i
                       : ELEMENT_NONE;
    return ELEMENT_NONE;
}

const struct attribute *attribute_get(int index)
{
    must(index >= 0 && (size_t)index < COUNT_OF(attributes));
    return &attributes[index];
}

_Static_assert(COUNT_OF(elements) < ELEMENT_COUNT_MAX, "counted per element elsewhere");
