/* SPDX-License-Identifier: Apache-2.0 */
/* A DNS answer packet as a hostile server could have made it. First byte: which type was asked. */
#include "net/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned types[] = {DNS_TYPE_A, DNS_TYPE_MX, DNS_TYPE_AAAA};
    static struct dns_answer answer;
    size_t left;

    if (size == 0 || !dns_answer_parse(slice_of(data + 1, size - 1), "good.test",
                                       types[data[0] % 3], &answer, NULL))
        return 0;
    must(answer.mx_count <= DNS_MX_MAX && answer.address_count <= DNS_ADDRESSES_MAX);
    for (size_t i = 0; i < answer.mx_count; i++)
        must(dns_is_host_name(slice_from_cstr(answer.mx[i].host_cstr)));
    left = dns_mx_arrange(answer.mx, answer.mx_count, "mx.good.test", size);
    must(left <= answer.mx_count);
    for (size_t i = 1; i < left; i++)
        must(answer.mx[i - 1].preference <= answer.mx[i].preference);
    return 0;
}
