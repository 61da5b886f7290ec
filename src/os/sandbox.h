/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process gives up what it will not need: the root user, new privileges, files, system calls. The caller
 * says what it keeps; everything here is irreversible. Landlock and seccomp are the kernel's; where it lacks
 * Landlock the rest still holds and the log says so once.
 */
#ifndef OS_SANDBOX_H
#define OS_SANDBOX_H

#include "base/err.h"
#include "os/bind.h"

enum sandbox_access {
    SANDBOX_READ = 1,  /* read files and folders below */
    SANDBOX_WRITE = 2, /* write to files below: truncate, no reading */
    SANDBOX_MAKE = 4,  /* make, remove and rename files below */
};

struct sandbox_path {
    const char *path_cstr; /* "" or absent on disk = skipped */
    unsigned access;
};

/* Groups of system calls that a role may lose. */
enum sandbox_denial {
    SANDBOX_NO_INTERNET = 1, /* no sockets but UNIX ones */
    SANDBOX_NO_CONNECT = 2,  /* no outgoing connections at all: connect */
    SANDBOX_NO_ACCEPT = 4,   /* no incoming ones: accept, listen */
    SANDBOX_NO_FILES = 8,    /* nothing is opened by path any more */
    SANDBOX_ONLY_NEW = 32, /* files are made, never opened again to write, renamed or removed */
    SANDBOX_NO_LOCAL =
        16, /* no UNIX sockets: our own control socket would take us for the operator */
};

struct sandbox {
    struct owner owner; /* become this user, when started as root; NO_OWNER = stay */
    const struct sandbox_path *paths;
    size_t path_count;
    unsigned denials;
};

/*
 * Become this user, for good, when started as root: before the first file is opened, so that all files are
 * its own. NO_OWNER, or not root = nothing to do. ERR_TEMP: the kernel refused.
 */
MUST_CHECK bool sandbox_become(struct owner owner, struct err *err);

/*
 * Confine this process. Always lost: exec, ptrace, mount, modules, keyrings, io_uring, bpf, namespaces, core
 * dumps, new privileges, signals and limits for other processes. has_landlock_out: did the kernel have it? ERR_TEMP: the kernel refused.
 */
MUST_CHECK bool sandbox_enter(const struct sandbox *sandbox, bool *has_landlock_out,
                              struct err *err);

#endif
