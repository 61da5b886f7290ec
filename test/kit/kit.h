/* SPDX-License-Identifier: Apache-2.0 */
/* What every room test includes: cmocka, in the order that its header needs. */
#ifndef KIT_KIT_H
#define KIT_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
