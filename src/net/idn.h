/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internationalised domain names: U-labels to the A-labels that the DNS knows, by IDNA 2008
 * with the mapping that people's input needs (non-transitional). The only room that includes
 * libidn2. [RFC 5891] [UTS 46]
 */
#ifndef NET_IDN_H
#define NET_IDN_H

#include "base/slice.h"

/* UTF-8 to lower-case ASCII with a NUL. False: not a domain name, or it does not fit. */
MUST_CHECK bool domain_to_ascii(struct slice domain, char *text_out_cstr, size_t size);

#endif
