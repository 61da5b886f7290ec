/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/mx_match.h"

static struct slice without_dot(struct slice name)
{
    return name.len > 0 && name.at[name.len - 1] == '.' ? slice_head(name, name.len - 1) : name;
}

bool mx_pattern_matches(struct slice pattern, struct slice host)
{
    size_t label;

    host = without_dot(host);
    if (host.len == 0 || pattern.len == 0)
        return false;
    if (!slice_starts_with(pattern, S("*.")))
        return slice_equal_nocase(pattern, host);
    label = slice_find_byte(host, '.');
    return label > 0 && label < host.len && pattern.len > 2 &&
           slice_equal_nocase(slice_from(pattern, 2), slice_from(host, label + 1));
}

bool mx_patterns_match(struct slice patterns, struct slice host, struct slice *pattern_out)
{
    while (patterns.len > 0) {
        struct slice pattern = slice_trim(slice_cut(&patterns, '\n'));

        if (!mx_pattern_matches(pattern, host))
            continue;
        if (pattern_out != NULL)
            *pattern_out = pattern;
        return true;
    }
    return false;
}
