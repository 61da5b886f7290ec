/* SPDX-License-Identifier: Apache-2.0 */
#include "role/confine.h"

#include "os/sandbox.h"

#include <stdio.h>

enum { PATHS_MAX = 12, PATH_SIZE = 4352 };

/* Where in the state folder a role reads, writes, makes files. */
struct keep {
    unsigned state, queue, portal;
    bool reads_public; /* resolver and TLS files of the system */
    unsigned denials;
};

enum { R = SANDBOX_READ, W = SANDBOX_WRITE | SANDBOX_MAKE };

static const struct keep keeps[ROLE_COUNT] = {
    [ROLE_KEEPER] = {.state = R | W,
                     .denials = SANDBOX_NO_INTERNET | SANDBOX_NO_CONNECT | SANDBOX_NO_ACCEPT},
    /* What it took in it cannot read again. */
    [ROLE_SMTPD] = {.queue = W,
                    .denials = SANDBOX_NO_INTERNET | SANDBOX_NO_CONNECT | SANDBOX_ONLY_NEW},
    [ROLE_COURIER] = {.queue = R,
                      .reads_public = true,
                      .denials = SANDBOX_NO_ACCEPT | SANDBOX_NO_LOCAL | SANDBOX_ONLY_NEW},
    [ROLE_SCRIBE] = {.queue = R | W,
                     .portal = R | W,
                     .denials = SANDBOX_NO_INTERNET | SANDBOX_NO_CONNECT | SANDBOX_NO_ACCEPT |
                                SANDBOX_ONLY_NEW},
    [ROLE_PORTAL] = {.queue = W,
                     .portal = R,
                     .denials = SANDBOX_NO_INTERNET | SANDBOX_NO_CONNECT | SANDBOX_ONLY_NEW},
    [ROLE_SCOUT] = {.reads_public = true,
                    .denials = SANDBOX_NO_ACCEPT | SANDBOX_NO_LOCAL | SANDBOX_ONLY_NEW},
    [ROLE_OFFICE] = {.denials = SANDBOX_NO_INTERNET | SANDBOX_NO_CONNECT | SANDBOX_NO_FILES},
};

static const char *const public_paths[] = {
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/ssl",
    "/usr/share/dns",
};

bool role_become(const struct settings *settings, struct err *err)
{
    struct owner owner = NO_OWNER;

    if (!owner_find(settings->user_cstr, &owner))
        return true; /* the supervisor said so */
    return sandbox_become(owner, err);
}

bool role_confine(enum ipc_role kind, const struct settings *settings, struct err *err)
{
    const struct keep *keep = &keeps[kind];
    char queue_cstr[PATH_SIZE], portal_cstr[PATH_SIZE];
    /* Randomness, and character set tables of iconv(3). */
    struct sandbox_path paths[PATHS_MAX] = {{"/dev/urandom", SANDBOX_READ},
                                            {"/usr/lib", SANDBOX_READ}};
    struct sandbox sandbox = {
        .owner = NO_OWNER, .paths = paths, .path_count = 2, .denials = keep->denials};
    bool has_landlock = false;

    (void)snprintf(queue_cstr, sizeof queue_cstr, "%s/queue", settings->state_dir_cstr);
    (void)snprintf(portal_cstr, sizeof portal_cstr, "%s/portal", settings->state_dir_cstr);
    if (keep->state != 0)
        paths[sandbox.path_count++] =
            (struct sandbox_path){settings->state_dir_cstr, keep->state};
    if (keep->queue != 0)
        paths[sandbox.path_count++] = (struct sandbox_path){queue_cstr, keep->queue};
    if (keep->portal != 0)
        paths[sandbox.path_count++] = (struct sandbox_path){portal_cstr, keep->portal};
    for (size_t i = 0; i < COUNT_OF(public_paths) && keep->reads_public; i++)
        paths[sandbox.path_count++] = (struct sandbox_path){public_paths[i], SANDBOX_READ};
    if (!owner_find(settings->user_cstr, &sandbox.owner))
        sandbox.owner = NO_OWNER; /* the supervisor said so */
    if (!sandbox_enter(&sandbox, &has_landlock, err))
        return false;
    if (!has_landlock && kind == ROLE_KEEPER)
        LOG(LOG_WARN, "role.no_landlock",
            log_cstr("detail",
                     "this kernel lacks Landlock: file access is limited by user only"));
    return true;
}
