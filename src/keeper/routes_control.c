/* SPDX-License-Identifier: Apache-2.0 */
/* Outbound routes as operators and programs that watch us see them. */
#include "keeper/control.h"
#include "keeper/internal.h"

static int64_t count_of(const struct outbound *route, enum delivery_outcome outcome)
{
    return (int64_t)route->counts[outcome];
}

static json_t *route_object(const struct outbound *route)
{
    json_t *object = json_pack(
        "{s:s,s:b,s:s,s:s,s:I,s:I,s:I}", "route", route->name_cstr, "works", !route->is_down,
        "way", route->is_smart ? "smart host" : "MX", "why", route_failure_name(route->why),
        "delivered", (json_int_t)count_of(route, OUTCOME_DELIVERED), "deferred",
        (json_int_t)count_of(route, OUTCOME_TEMPORARY) +
            (json_int_t)count_of(route, OUTCOME_NOT_PROVED),
        "failed", (json_int_t)count_of(route, OUTCOME_PERMANENT));

    control_set_number(object, "since_ms", route->since_ms);
    control_set_text(object, "detail", slice_from_cstr(route->detail_cstr));
    return object;
}

json_t *routes_objects(struct keeper *keeper)
{
    json_t *list = json_array();

    for (size_t i = 0; i < keeper->routes.count; i++)
        json_array_append_new(list, route_object(&keeper->routes.all[i]));
    return list;
}

void routes_answer(struct control_output *output, const json_t *request)
{
    (void)request;
    for (size_t i = 0; i < output->keeper->routes.count; i++)
        control_line(output, route_object(&output->keeper->routes.all[i]));
}

bool routes_expose(struct keeper *keeper, struct buffer *out)
{
    static const struct {
        const char *name_cstr;
        enum delivery_outcome outcome;
    } outcomes[] = {{"delivered", OUTCOME_DELIVERED},
                    {"deferred", OUTCOME_TEMPORARY},
                    {"failed", OUTCOME_PERMANENT},
                    {"not_proved", OUTCOME_NOT_PROVED}};
    const struct routes *routes = &keeper->routes;
    bool fits = stats_expose_head(out, "route_up", "gauge", "1 when the outbound route works");

    for (size_t i = 0; i < routes->count && fits; i++)
        fits = buffer_append_format(out, "postern_route_up{route=\"%s\"} %d\n",
                                    routes->all[i].name_cstr, !routes->all[i].is_down);
    fits = fits && stats_expose_head(out, "route_deliveries_total", "counter",
                                     "Attempts for one recipient each, by route and outcome");
    for (size_t i = 0; i < routes->count; i++)
        for (size_t j = 0; j < COUNT_OF(outcomes) && fits; j++)
            fits = buffer_append_format(
                out, "postern_route_deliveries_total{route=\"%s\",outcome=\"%s\"} %lld\n",
                routes->all[i].name_cstr, outcomes[j].name_cstr,
                (long long)count_of(&routes->all[i], outcomes[j].outcome));
    return fits;
}
