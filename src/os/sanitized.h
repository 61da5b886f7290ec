/* SPDX-License-Identifier: Apache-2.0 */
/* IS_SANITIZED: built with a sanitizer, which reads /proc, traces itself and prints: walls are looser then. */
#ifndef OS_SANITIZED_H
#define OS_SANITIZED_H

#include <stdbool.h>

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                     \
    __has_feature(undefined_behavior_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

#endif
