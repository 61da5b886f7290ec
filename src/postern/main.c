/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/commands.h"
#include "role/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command {
    const char *name_cstr;
    command_fn *run;
    const char *summary_cstr;
} commands[] = {
    {"serve", command_serve, "run the server (it stays in the foreground)"},
    {"check", command_check, "say whether the settings are right, and if not, what is wrong"},
    {"show-settings", command_show_settings, "print every setting that is in force"},
    {"password", command_password, "turn a password into the hash that the settings want"},
    {"key", command_key, "make, rotate and back up the master key"},
    {"trace", command_trace, "tell the story of messages, with evidence"},
    {"queue", command_queue, "list, hold, release, retry or purge waiting mail"},
    {"retract", command_retract, "take a message back, as far as that is possible"},
    {"explain", command_explain, "say how a message would travel, and why"},
    {"tls", command_tls, "test other domains' TLS, and show what is known of it"},
    {"forward", command_forward, "show or change what mail to our addresses goes on to"},
    {"sts", command_sts, "show the MTA-STS policies of other domains that are kept"},
    {"dns", command_dns, "print the DNS records of an own domain, and which are missing"},
    {"domains", command_domains, "show what is known of other domains' TLS"},
    {"routes", command_routes, "show which outbound routes work"},
    {"status", command_status, "show how the server is"},
    {"top", command_top, "show rates, queue, latencies and roles, every second"},
    {"verify", command_verify, "check that everything in a stopped server's state agrees"},
    {"backup", command_backup, "copy the running server's state into a folder"},
    {"restore", command_restore, "put a backup into an empty state folder"},
    {"version", command_version, "print the version"},
};

static void print_help(FILE *to)
{
    (void)fputs("Postern: mail that nobody reads on the way.\n\nusage: postern COMMAND …\n\n",
                to);
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        (void)fprintf(to, "  %-14s %s\n", commands[i].name_cstr, commands[i].summary_cstr);
    (void)fputs("\n`postern COMMAND --help` says more.\n", to);
}

/* `postern role NAME INDEX`: started by the supervisor only. */
static int run_role(int argc, char **argv)
{
    static int (*const mains[ROLE_COUNT])(unsigned) = {
        [ROLE_KEEPER] = keeper_main, [ROLE_SMTPD] = smtpd_main,   [ROLE_COURIER] = courier_main,
        [ROLE_SCRIBE] = scribe_main, [ROLE_PORTAL] = portal_main, [ROLE_OFFICE] = office_main,
        [ROLE_SCOUT] = scout_main,
    };
    enum ipc_role kind;
    uint64_t index;

    if (argc != 3 || !slice_parse_u64(slice_from_cstr(argv[2]), &index) || index > 63)
        return EXIT_USAGE;
    kind = role_parse(slice_from_cstr(argv[1]));
    return kind == ROLE_COUNT || mains[kind] == NULL ? EXIT_USAGE
                                                     : mains[kind]((unsigned)index);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "role") == 0)
        return run_role(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(argv[1], "--version") == 0)
        return command_version(1, argv);
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        if (strcmp(argv[1], commands[i].name_cstr) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    return usage_error(NULL, "there is no command '%s'", argv[1]);
}
