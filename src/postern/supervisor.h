/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `postern serve`: reads settings and secrets, binds sockets, starts the roles, hands each its channel, its
 * sockets and the files it may know, starts the dead again, and speaks with no stranger.
 *
 *   start      the keeper first; its `ready` brings the certificate; then everybody else
 *   a death    of one role: a successor at once (later and later when it keeps dying young), with a new channel
 *              of which the keeper gets the other end
 *   the keeper dies: every role ends by itself; when all have, everything starts anew
 *   SIGHUP     read again; a bad file changes nothing
 *   SIGTERM, SIGINT  all finish what they have, the keeper last; a second one ends everything now
 */
#ifndef POSTERN_SUPERVISOR_H
#define POSTERN_SUPERVISOR_H

/*
 * Serve to the end. program_cstr is what roles are started from: "/proc/self/exe". Exit code: EXIT_SETTINGS when they are
 * wrong and a second try is useless, EXIT_FAILURE for what may pass.
 */
int supervisor_run(const char *settings_path_cstr, const char *program_cstr);

#endif
