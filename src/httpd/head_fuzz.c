/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's request head, as the library would hand it over: lines of "name:value". */
#include "httpd/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct httpd_header headers[HTTPD_HEADERS_MAX + 1];
    struct slice rest = slice_of(data, size);
    struct slice line = slice_cut(&rest, '\n');
    struct httpd_head head = {.headers = headers};
    struct httpd_facts facts;
    struct slice value;

    head.method = slice_cut(&line, ' ');
    head.uri = slice_cut(&line, ' ');
    head.version = line;
    while (rest.len > 0 && head.header_count < COUNT_OF(headers)) {
        struct slice field = slice_cut(&rest, '\n');

        headers[head.header_count].name = slice_cut(&field, ':');
        headers[head.header_count++].value = field;
    }
    if (httpd_head_check(&head, S("p.test"), &facts) == 0) {
        must(facts.path.len > 0 && facts.path.len <= HTTPD_URI_MAX);
        must(facts.method == HTTPD_POST || facts.content_length == 0);
        must(httpd_header_find(headers, head.header_count, S("Host"), &value));
        must(slice_starts_with_nocase(value, S("p.test")));
    }
    if (httpd_header_find(headers, head.header_count, S("Cookie"), &value) &&
        httpd_cookie_find(value, S("a"), &value))
        must(slice_find_byte(value, ';') == value.len);
    return 0;
}
