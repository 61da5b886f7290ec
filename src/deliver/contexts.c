/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/contexts.h"

#include <stdlib.h>

struct contexts {
    struct slice roots_pem;
    struct tls_context *made[TLS_TRUST_DANE + 1][2]; /* by trust, by small_hello */
};

static bool make(struct contexts *contexts, enum tls_trust trust, bool small_hello,
                 struct err *err)
{
    struct tls_client_options options = {.trust = trust, .small_hello = small_hello};

    /* DANE asks no authority but those that the records name. */
    if (trust != TLS_TRUST_DANE)
        options.authorities_pem = contexts->roots_pem;
    return tls_context_new_client(&options, &contexts->made[trust][small_hello], err);
}

static bool can_have(const struct contexts *contexts, enum tls_trust trust)
{
    return trust != TLS_TRUST_WEBPKI || contexts->roots_pem.len > 0;
}

bool contexts_new(struct slice roots_pem, struct contexts **contexts_out, struct err *err)
{
    struct contexts *contexts = calloc(1, sizeof *contexts);

    must(contexts != NULL);
    contexts->roots_pem = roots_pem;
    if (!make(contexts, TLS_TRUST_NOBODY, false, err) ||
        (can_have(contexts, TLS_TRUST_WEBPKI) &&
         !make(contexts, TLS_TRUST_WEBPKI, false, err))) {
        contexts_free(&contexts);
        return false;
    }
    *contexts_out = contexts;
    return true;
}

void contexts_free(struct contexts **contexts)
{
    struct contexts *it = *contexts;

    if (it == NULL)
        return;
    for (size_t trust = 0; trust < COUNT_OF(it->made); trust++)
        for (size_t small = 0; small < 2; small++)
            tls_context_unref(&it->made[trust][small]);
    free(it);
    *contexts = NULL;
}

struct tls_context *contexts_get(struct contexts *contexts, enum tls_trust trust,
                                 bool small_hello)
{
    if (!can_have(contexts, trust))
        return NULL;
    /* The same authorities were readable before. */
    if (contexts->made[trust][small_hello] == NULL)
        must(make(contexts, trust, small_hello, NULL));
    return contexts->made[trust][small_hello];
}
