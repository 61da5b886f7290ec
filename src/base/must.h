/* SPDX-License-Identifier: Apache-2.0 */
/*
 * must(): a promise the program makes to itself. A broken promise is a bug, not an error: the
 * process ends at once, the supervisor starts it again, and the queue is safe by design. It stays
 * on in releases. Never use it on anything that a stranger or the disk can cause.
 */
#ifndef BASE_MUST_H
#define BASE_MUST_H

/* Print what was broken and where, then abort(). Never returns. */
_Noreturn void must_fail(const char *expression_cstr, const char *file_cstr, int line);

#define must(expression) ((expression) ? (void)0 : must_fail(#expression, __FILE__, __LINE__))

/* A place that the program never comes to, and why. */
#define must_never(why_literal) must_fail(why_literal, __FILE__, __LINE__)

/* The caller may not ignore the result. */
#define MUST_CHECK __attribute__((warn_unused_result))
/* Let the compiler check a printf-like format; the arguments are 1-based positions. */
#define FORMAT_LIKE(format_position, first_position)                                           \
    __attribute__((format(printf, format_position, first_position)))

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
