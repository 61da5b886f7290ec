/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/routes.h"

#include "base/log.h"
#include "keeper/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_timer(void *context);

void routes_init(struct keeper *keeper)
{
    keeper->routes = (struct routes){.timer = loop_timer_new(keeper->loop, on_timer, keeper)};
    map_init(&keeper->routes.lists_by_flow);
    routes_configure(keeper);
}

void routes_deinit(struct keeper *keeper)
{
    free(keeper->routes.lists);
    keeper->routes.lists = NULL;
    map_deinit(&keeper->routes.lists_by_flow);
    loop_timer_free(&keeper->routes.timer);
}

const char *route_failure_name(enum route_failure failure)
{
    static const char *const names[ROUTE_FAILURE_COUNT] = {
        [ROUTE_WORKS] = "works",
        [ROUTE_NO_SOURCE] = "its source address cannot be used",
        [ROUTE_NOT_REACHED] = "its smart host is not reached",
        [ROUTE_NO_TLS] = "its smart host's TLS does not verify",
        [ROUTE_NO_LOGIN] = "its smart host does not take our login",
    };

    return (unsigned)failure < ROUTE_FAILURE_COUNT ? names[failure] : names[ROUTE_NOT_REACHED];
}

/* ---- from the settings ---- */

struct outbound *routes_find(struct keeper *keeper, struct slice name)
{
    if (name.len == 0)
        name = S(OUTBOUND_DIRECT);
    for (size_t i = 0; i < keeper->routes.count; i++)
        if (slice_equal_nocase(slice_from_cstr(keeper->routes.all[i].name_cstr), name))
            return &keeper->routes.all[i];
    return NULL;
}

static void name_route(struct outbound *route, const char *name_cstr)
{
    *route = (struct outbound){.carries_secure = true};
    must(slice_to_cstr(slice_from_cstr(name_cstr), route->name_cstr, sizeof route->name_cstr));
}

static void fill_list(struct keeper *keeper, const char *const *uses, size_t count,
                      struct outbound_list *list)
{
    *list = (struct outbound_list){0};
    for (size_t i = 0; i < count && list->count < ROUTES_MAX; i++) {
        struct outbound_use *use = &list->uses[list->count];
        struct slice name;
        struct outbound *route;

        if (!outbound_use_parse(slice_from_cstr(uses[i]), &name, &use->weight) ||
            (route = routes_find(keeper, name)) == NULL)
            continue; /* the settings were checked: it is there */
        use->route = (unsigned)(route - keeper->routes.all);
        if (use->weight == 0)
            use->weight =
                use->route == 0 ? 1 : keeper->settings->outbounds[use->route - 1].weight;
        if (use->weight == 0)
            use->weight = 1; /* named by one who knows its weight is 0 for others */
        list->count++;
    }
}

/* Everybody's list, when none is written: all routes, or the usual way when there are none. */
static void fill_default(struct keeper *keeper, struct outbound_list *list)
{
    const struct settings *settings = keeper->settings;

    fill_list(keeper, settings->default_outbound, settings->default_outbound_count, list);
    for (unsigned i = 0; settings->default_outbound_count == 0 && i < settings->outbound_count;
         i++)
        if (settings->outbounds[i].weight > 0)
            list->uses[list->count++] =
                (struct outbound_use){i + 1, settings->outbounds[i].weight};
    if (list->count == 0)
        list->uses[list->count++] = (struct outbound_use){0, 1};
}

void routes_configure(struct keeper *keeper)
{
    const struct settings *settings = keeper->settings;
    struct routes *routes = &keeper->routes;

    routes->count = settings->outbound_count + 1;
    must(routes->count <= ROUTES_MAX);
    name_route(&routes->all[0], OUTBOUND_DIRECT);
    for (size_t i = 1; i < routes->count; i++) {
        const struct settings_outbound *outbound = &settings->outbounds[i - 1];

        name_route(&routes->all[i], outbound->name_cstr);
        routes->all[i].is_smart = outbound->smart_host_cstr[0] != '\0';
        routes->all[i].carries_secure = !routes->all[i].is_smart || outbound->secure_mail;
    }
    free(routes->lists);
    map_deinit(&routes->lists_by_flow);
    map_init(&routes->lists_by_flow);
    routes->list_count = settings->account_count + 1;
    routes->lists = calloc(routes->list_count, sizeof *routes->lists);
    must(routes->lists != NULL);
    fill_default(keeper, &routes->lists[0]);
    for (size_t i = 0; i < settings->account_count; i++) {
        const struct settings_account *account = &settings->accounts[i];

        routes->lists[i + 1] = routes->lists[0];
        if (account->outbound_count > 0)
            fill_list(keeper, account->outbound, account->outbound_count,
                      &routes->lists[i + 1]);
        map_put(&routes->lists_by_flow,
                (flow_number(slice_from_cstr(account->name_cstr), LANE_INTERACTIVE) >> 2) + 1,
                &routes->lists[i + 1]);
    }
    loop_timer_clear(routes->timer);
}

size_t routes_list_of(const struct keeper *keeper, const struct settings_account *account)
{
    return account == NULL ? 0 : (size_t)(account - keeper->settings->accounts) + 1;
}

/* ---- the choice ---- */

/* Spreads ids that follow each other; fixed, so that a restart changes nothing. */
static uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ value >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ value >> 27) * UINT64_C(0x94D049BB133111EB);
    return value ^ value >> 31;
}

size_t routes_order(const struct outbound_list *list, uint64_t message,
                    unsigned order_out[ROUTES_MAX])
{
    struct outbound_list left = *list;
    uint64_t total = 0, dice = message;
    size_t count = 0;

    for (size_t i = 0; i < left.count; i++)
        total += left.uses[i].weight;
    while (total > 0) {
        uint64_t point;
        size_t at = 0;

        dice = mix(dice);
        for (point = dice % total; point >= left.uses[at].weight; at++)
            point -= left.uses[at].weight;
        order_out[count++] = left.uses[at].route;
        total -= left.uses[at].weight;
        left.uses[at].weight = 0;
    }
    return count;
}

enum route_choice routes_choose(const struct keeper *keeper, size_t list, uint64_t message,
                                bool is_secure, unsigned *route_out)
{
    const struct routes *routes = &keeper->routes;
    const struct outbound_list *uses = &routes->lists[list < routes->list_count ? list : 0];
    unsigned order[ROUTES_MAX];
    enum route_choice choice = CHOICE_NONE_SECURE;
    size_t count;

    *route_out = uses->uses[0].route;
    if (uses->count == 1 && *route_out == 0)
        return CHOICE_MADE; /* the usual way */
    count = routes_order(uses, message, order);
    for (size_t i = 0; i < count; i++) {
        const struct outbound *route = &routes->all[order[i]];

        if (is_secure && !route->carries_secure)
            continue;
        choice = CHOICE_ALL_DOWN;
        if (route->is_down)
            continue;
        *route_out = order[i];
        return CHOICE_MADE;
    }
    return choice;
}

unsigned routes_guess(const struct keeper *keeper, unsigned flow, uint64_t message)
{
    const struct outbound_list *list;
    unsigned route;

    if (keeper->routes.count == 1)
        return 0;
    list = map_get(&keeper->routes.lists_by_flow, (flow >> 2) + 1);
    (void)routes_choose(keeper, list == NULL ? 0 : (size_t)(list - keeper->routes.lists),
                        message, false, &route);
    return route;
}

/* ---- health ---- */

static int64_t probe_delay_ms(unsigned rounds)
{
    int64_t delay_ms = PROBE_FIRST_MS;

    for (unsigned i = 0; i < rounds && delay_ms < PROBE_LONGEST_MS; i++)
        delay_ms *= 2;
    return delay_ms < PROBE_LONGEST_MS ? delay_ms : PROBE_LONGEST_MS;
}

static void arm(struct routes *routes)
{
    int64_t next_ms = INT64_MAX, now_ms = loop_now_ms();

    for (size_t i = 0; i < routes->count; i++)
        if (routes->all[i].is_down && routes->all[i].probe_at_ms < next_ms)
            next_ms = routes->all[i].probe_at_ms;
    if (next_ms != INT64_MAX)
        loop_timer_set(routes->timer, next_ms > now_ms ? next_ms - now_ms : 0);
}

static void note_detail(struct outbound *route, enum route_failure why, struct slice detail)
{
    route->why = (unsigned)why < ROUTE_FAILURE_COUNT ? why : ROUTE_NOT_REACHED;
    snprintf(route->detail_cstr, sizeof route->detail_cstr, "%.*s",
             SLICE_ARGS(slice_head(slice_trim(detail), sizeof route->detail_cstr - 1)));
}

void routes_failed(struct keeper *keeper, struct outbound *route, enum route_failure why,
                   struct slice detail, int64_t began_ms)
{
    /* It was on its way before the route came back, or it is known. "direct" has nothing that could fail. */
    if (route->is_down || began_ms < route->changed_ms || route == &keeper->routes.all[0])
        return;
    route->is_down = true;
    route->rounds = 0;
    route->since_ms = clock_unix_ms();
    route->changed_ms = loop_now_ms();
    route->probe_at_ms = route->changed_ms + probe_delay_ms(0);
    note_detail(route, why, detail);
    LOG(LOG_WARN, "keeper.route_down", log_cstr("route", route->name_cstr),
        log_cstr("why", route_failure_name(route->why)));
    arm(&keeper->routes);
}

static void bring_back(struct keeper *keeper, struct outbound *route)
{
    LOG(LOG_INFO, "keeper.route_up", log_cstr("route", route->name_cstr),
        log_i64("after_ms", clock_unix_ms() - route->since_ms));
    route->is_down = false;
    route->why = ROUTE_WORKS;
    route->detail_cstr[0] = '\0';
    route->since_ms = clock_unix_ms();
    route->changed_ms = loop_now_ms();
    schedule_wake(keeper);
}

bool routes_take_probe(struct keeper *keeper, const struct ipc_delivered *delivered)
{
    for (size_t i = 0; i < keeper->routes.count; i++) {
        struct outbound *route = &keeper->routes.all[i];

        if (route->probe_job == 0 || route->probe_job != delivered->job)
            continue;
        route->probe_job = 0;
        if (delivered->route_failure == ROUTE_WORKS) {
            bring_back(keeper, route);
        } else {
            note_detail(route, (enum route_failure)delivered->route_failure, delivered->trail);
            route->rounds++;
            route->probe_at_ms = loop_now_ms() + probe_delay_ms(route->rounds);
        }
        arm(&keeper->routes);
        return true;
    }
    return false;
}

static void probe(struct keeper *keeper, struct outbound *route)
{
    struct slice name = slice_from_cstr(route->name_cstr);
    struct peer *peer = peer_by_hash(keeper, ROLE_COURIER, domain_hash(&keeper->domains, name));
    struct ipc_deliver deliver = {.job = ++keeper->deliveries.last_id,
                                  .domain = S("route.invalid"),
                                  .accepted_ms = clock_unix_ms(),
                                  .route = name,
                                  .probe = true};

    route->probe_at_ms = loop_now_ms() + PROBE_LOST_MS;
    if (peer == NULL || !ipc_send(peer->channel, IPC_DELIVER, &deliver))
        route->probe_at_ms = loop_now_ms() + PROBE_FIRST_MS;
    else
        route->probe_job = deliver.job;
}

static void on_timer(void *context)
{
    struct keeper *keeper = context;
    struct routes *routes = &keeper->routes;

    for (size_t i = 0; i < routes->count; i++)
        if (routes->all[i].is_down && routes->all[i].probe_at_ms <= loop_now_ms())
            probe(keeper, &routes->all[i]);
    arm(routes);
}
