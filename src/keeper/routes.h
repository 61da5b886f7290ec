/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outbound routes: which one a message goes by, and which of them work. The choice is a pure function of the message's
 * id, the account's list and what works now: by weight, the same at every attempt and after a restart; when the first
 * choice is out of order the second takes its place, and gives it back when the first works again. A route that fails
 * is taken out at once; probes, each by one courier, find out when it works again. Health is in memory only: after a
 * restart everything is tried.
 */
#ifndef KEEPER_ROUTES_H
#define KEEPER_ROUTES_H

#include "base/map.h"
#include "ipc/pack.h"
#include "os/loop.h"
#include "settings/outbound.h"

struct keeper;

enum {
    ROUTES_MAX = OUTBOUND_MAX + 1, /* "direct" is number 0 */
    PROBE_FIRST_MS = 2000,
    PROBE_LONGEST_MS = 60000,
    PROBE_LOST_MS = 120000, /* without an answer by then: the courier has gone */
    ROUTE_DETAIL_SIZE = 240,
};

struct outbound {
    char name_cstr[OUTBOUND_NAME_MAX + 8];
    bool is_smart;       /* a smart host takes everything */
    bool carries_secure; /* mail that needs proved TLS, too */
    bool is_down;
    enum route_failure why;
    char detail_cstr[ROUTE_DETAIL_SIZE]; /* for the operator's eyes only, not for the log */
    unsigned rounds;                     /* probes in vain, in a row */
    int64_t since_ms;                    /* unix: down, or up again */
    int64_t changed_ms, probe_at_ms;     /* loop clock */
    uint64_t probe_job;                  /* 0 = none under way */
    uint64_t counts[OUTCOME_COUNT];      /* recipients' attempts since the start */
};

struct outbound_list {
    size_t count;
    struct outbound_use {
        unsigned route;
        uint32_t weight;
    } uses[ROUTES_MAX];
};

struct routes {
    struct outbound all[ROUTES_MAX];
    size_t count;
    struct outbound_list
        *lists; /* of everybody, then of each account in the order of the settings */
    size_t list_count;
    struct map lists_by_flow; /* account's number → its list */
    struct loop_timer *timer;
};

void routes_init(struct keeper *keeper);
void routes_deinit(struct keeper *keeper);
/* Other settings: everything is tried anew. */
void routes_configure(struct keeper *keeper);

/* The list of an account (NULL: of everybody). */
size_t routes_list_of(const struct keeper *keeper, const struct settings_account *account);
enum route_choice {
    CHOICE_MADE,
    CHOICE_ALL_DOWN,    /* none works now */
    CHOICE_NONE_SECURE, /* none may carry what needs proved TLS */
};
enum route_choice routes_choose(const struct keeper *keeper, size_t list, uint64_t message,
                                bool is_secure, unsigned *route_out);
/* The first choice of whoever has this flow number: for the lane, before the row is read. */
unsigned routes_guess(const struct keeper *keeper, unsigned flow, uint64_t message);
/* Pure: in which order a message would go by the routes of a list. Returns how many. */
size_t routes_order(const struct outbound_list *list, uint64_t message,
                    unsigned order_out[ROUTES_MAX]);

/* NULL: not in the settings any more. */
struct outbound *routes_find(struct keeper *keeper, struct slice name);
/* A job that went out at began_ms (loop clock) says that the route does not work. */
void routes_failed(struct keeper *keeper, struct outbound *route, enum route_failure why,
                   struct slice detail, int64_t began_ms);
/* An answer to a probe? Then it was taken. */
bool routes_take_probe(struct keeper *keeper, const struct ipc_delivered *delivered);
/* "works", or why it does not. */
const char *route_failure_name(enum route_failure failure);

#endif
