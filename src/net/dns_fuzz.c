/* SPDX-License-Identifier: Apache-2.0 */
/* A DNS answer packet as a hostile server could have made it. First byte: which type was asked. */
#include "net/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned types[] = {DNS_TYPE_A,    DNS_TYPE_MX,  DNS_TYPE_AAAA,
                                     DNS_TYPE_TLSA, DNS_TYPE_TXT, DNS_TYPE_CNAME};
    static struct dns_answer answer;
    static struct tlsa_set set;
    static struct dns_texts texts;
    struct slice packet = slice_of(data + 1, size > 0 ? size - 1 : 0);
    size_t left;

    if (size == 0 ||
        !dns_answer_parse(packet, "good.test", types[data[0] % COUNT_OF(types)], &answer, NULL))
        return 0;
    if (dns_tlsa_parse(packet, &answer, &set, NULL)) {
        char text[TLSA_TEXT_SIZE];
        uint8_t digest[SHA256_BYTES];

        must(set.usable_count <= set.count);
        for (size_t i = 0; i < set.count; i++)
            tlsa_write_text(&set, &set.records[i], text);
        tlsa_set_digest(&set, digest);
    }
    if (dns_texts_parse(packet, &answer, &texts, NULL))
        for (size_t i = 0; i < texts.count; i++)
            must(dns_text(&texts, i).len <= DNS_TEXT_MAX_BYTES);
    must(answer.mx_count <= DNS_MX_MAX && answer.address_count <= DNS_ADDRESSES_MAX);
    for (size_t i = 0; i < answer.mx_count; i++)
        must(dns_is_host_name(slice_from_cstr(answer.mx[i].host_cstr)));
    left = dns_mx_arrange(answer.mx, answer.mx_count, "mx.good.test", size);
    must(left <= answer.mx_count);
    for (size_t i = 1; i < left; i++)
        must(answer.mx[i - 1].preference <= answer.mx[i].preference);
    return 0;
}
