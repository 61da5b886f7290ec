/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/check.h"

#include "base/map.h"
#include "settings/check_inbound.h"
#include "settings/check_modes.h"
#include "settings/check_reports.h"
#include "settings/outbound.h"
#include "settings/check_sts.h"
#include "settings/sts_text.h"
#include "settings/values.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SMTPD_PROCESSES_MAX = 24,
    COURIER_PROCESSES_MAX = 14,
    SCRIBE_PROCESSES_MAX = 16,
    PORTAL_PROCESSES_MAX = 8,
};

struct checking {
    const struct settings *settings;
    struct cfg_t *tree;
    struct settings_mistake *mistake;
};

/* ---- defaults ---- */

static unsigned default_count(unsigned written, unsigned wanted, unsigned most)
{
    if (written != 0)
        return written;
    if (wanted == 0)
        return 1;
    return wanted < most ? wanted : most;
}

static bool complete_names(struct settings *settings, struct arena *memory)
{
    char host_cstr[256] = "", path_cstr[4352];
    struct slice copy;

    if (settings->hostname_cstr[0] == 0 && gethostname(host_cstr, sizeof host_cstr - 1) == 0) {
        copy = arena_copy(memory, slice_from_cstr(host_cstr));
        if (copy.at == NULL)
            return false;
        settings->hostname_cstr = (const char *)copy.at;
    }
    if (settings->delivery.helo_cstr[0] == 0)
        settings->delivery.helo_cstr = settings->hostname_cstr;
    if (settings->control_path_cstr[0] == 0) {
        (void)snprintf(path_cstr, sizeof path_cstr, "%s/control.sock",
                       settings->state_dir_cstr);
        copy = arena_copy(memory, slice_from_cstr(path_cstr));
        if (copy.at == NULL)
            return false;
        settings->control_path_cstr = (const char *)copy.at;
    }
    return true;
}

bool settings_complete(struct settings *settings, struct arena *memory)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned cores = online > 0 && online < 1024 ? (unsigned)online : 1;

    settings->smtpd_processes =
        default_count(settings->smtpd_processes, cores, SMTPD_PROCESSES_MAX);
    settings->courier_processes =
        default_count(settings->courier_processes, cores, COURIER_PROCESSES_MAX);
    settings->scribe_processes =
        default_count(settings->scribe_processes, cores / 2, SCRIBE_PROCESSES_MAX);
    settings->portal_processes =
        default_count(settings->portal_processes, cores / 2, PORTAL_PROCESSES_MAX);
    settings->portal.enabled = settings->portal.url_cstr[0] != 0;
    settings->portal.listens = settings->portal.address_len != 0;
    settings->metrics.enabled = settings->metrics.address_len != 0;
    for (size_t i = 0; i < settings->user_count; i++) {
        struct settings_user *user = &settings->users[i];

        if (user->sender_count == 0) { /* one's own name */
            user->senders = &user->name_cstr;
            user->sender_count = 1;
        }
    }
    return complete_names(settings, memory);
}

/* ---- checks ---- */

static const char *account_name_at(const void *names, size_t index)
{
    return ((const struct settings_account *)names)[index].name_cstr;
}

static void check_account_named(struct checking *c, struct cfg_t *section,
                                const char *account_cstr)
{
    struct slice name = slice_from_cstr(account_cstr), similar;

    if (name.len == 0 || settings_account_find(c->settings, name) != NULL)
        return;
    similar = settings_similar(name, account_name_at, c->settings->accounts,
                               c->settings->account_count);
    if (similar.len > 0)
        settings_wrong(c->mistake, settings_tree_line(section, "account", c->mistake),
                       "unknown account \"%s\"; did you mean \"%.*s\"?", account_cstr,
                       SLICE_ARGS(similar));
    else
        settings_wrong(
            c->mistake, settings_tree_line(section, "account", c->mistake),
            "unknown account \"%s\"; write: account \"%s\" { … }, or name one that exists",
            account_cstr, account_cstr);
}

/* FNV-1a without case: only to find candidates. */
static uint64_t name_hash(struct slice name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ byte_lower(name.at[i])) * UINT64_C(0x100000001b3);
    return hash == 0 ? 1 : hash;
}

/* libconfuse finds titles that are equal; these differ in case only. */
static void check_names_differ(struct checking *c, const char *kind_cstr)
{
    size_t count = settings_tree_count(c->tree, kind_cstr);
    struct map seen;

    map_init(&seen);
    for (size_t i = 0; i < count; i++) {
        struct cfg_t *section = settings_tree_section(c->tree, kind_cstr, i);
        struct slice title = settings_tree_title(section);
        struct cfg_t *other = map_get(&seen, name_hash(title));

        if (other != NULL && slice_equal_nocase(settings_tree_title(other), title))
            settings_wrong(
                c->mistake, settings_tree_line(section, NULL, c->mistake),
                "%s \"%.*s\" is there already (names do not differ by case); remove one",
                kind_cstr, SLICE_ARGS(title));
        map_put(&seen, name_hash(title), section);
    }
    map_deinit(&seen);
}

static void check_listeners(struct checking *c)
{
    const struct settings *settings = c->settings;

    for (size_t i = 0; i < settings->listener_count; i++) {
        struct cfg_t *section = settings_tree_section(c->tree, "listener", i);

        for (size_t j = 0; j < i; j++) {
            if (memcmp(&settings->listeners[i].address, &settings->listeners[j].address,
                       sizeof settings->listeners[i].address) == 0)
                settings_wrong(c->mistake, settings_tree_line(section, "address", c->mistake),
                               "listener \"%s\" has the address of \"%s\"; use another port",
                               settings->listeners[i].name_cstr,
                               settings->listeners[j].name_cstr);
        }
    }
    if (settings->listener_count > 64)
        settings_wrong(c->mistake, 1, "more than 64 listeners; remove some");
    if (settings->listener_count == 0)
        return;
    if (settings->tls_certificate.path_cstr[0] == 0)
        settings_wrong(
            c->mistake, settings_tree_line(c->tree, "tls_certificate", c->mistake),
            "tls_certificate is missing; listeners need one: write the path of a PEM file");
    else if (settings->tls_key.path_cstr[0] == 0)
        settings_wrong(c->mistake, settings_tree_line(c->tree, "tls_key", c->mistake),
                       "tls_key is missing; write the path of the key of tls_certificate");
}

static void check_portal(struct checking *c)
{
    static const char *const needed[] = {"url", "address", "certificate", "key"};
    struct cfg_t *section = settings_tree_section(c->tree, "portal", 0);
    bool may_lack_url = settings_publishes_sts(c->settings);
    size_t written = 0;

    for (size_t i = 0; i < COUNT_OF(needed); i++)
        written += settings_tree_count(section, needed[i]);
    for (size_t i = 0; i < COUNT_OF(needed) && written > 0; i++) {
        if (settings_tree_count(section, needed[i]) == 0 && (i > 0 || !may_lack_url))
            settings_wrong(
                c->mistake, settings_tree_line(section, NULL, c->mistake),
                "portal: '%s' is missing; the portal needs url, address, certificate and key",
                needed[i]);
    }
}

static void check_recipient(struct checking *c, struct cfg_t *section,
                            const struct settings_recipient *recipient)
{
    struct slice match = slice_from_cstr(recipient->match_cstr);

    if (match.len > 0 && !value_is_domain(match) && !value_is_address(match))
        settings_wrong(
            c->mistake, settings_tree_line(section, NULL, c->mistake),
            "recipient \"%s\" is neither address nor domain; write bob@x.test or x.test",
            recipient->match_cstr);
    if ((recipient->question_cstr[0] == 0) != (recipient->answer_cstr[0] == 0))
        settings_wrong(c->mistake, settings_tree_line(section, "question", c->mistake),
                       "recipient \"%s\": question and answer belong together; write both",
                       recipient->match_cstr);
}

static bool has_method(const struct settings_account *account, enum method method)
{
    for (size_t i = 0; i < account->order_count; i++) {
        if (account->order[i] == method)
            return true;
    }
    return false;
}

static void check_account(struct checking *c, struct cfg_t *section,
                          const struct settings_account *account)
{
    if (account->mode == MODE_UNSET)
        settings_wrong(
            c->mistake, settings_tree_line(section, "mode", c->mistake),
            "an account has nothing to inherit from; write none, opportunistic, forced, "
            "exclusive or try");
    if (account->proof_needed == PROOF_NONE)
        settings_wrong(
            c->mistake, settings_tree_line(section, "proof_needed", c->mistake),
            "proof_needed = none would let secure mail leave in clear; write verified, "
            "dane, or at least encrypted");
    if (account->portal_expire_min_ms > account->portal_expire_ms ||
        account->portal_expire_ms > account->portal_expire_max_ms)
        settings_wrong(
            c->mistake, settings_tree_line(section, "portal_expire", c->mistake),
            "portal_expire must lie between portal_expire_min and portal_expire_max");
    if (account->encrypt_trigger_cstr[0] != 0 &&
        slice_equal_nocase(slice_from_cstr(account->encrypt_trigger_cstr),
                           slice_from_cstr(account->opt_out_trigger_cstr)))
        settings_wrong(c->mistake, settings_tree_line(section, "opt_out_trigger", c->mistake),
                       "encrypt_trigger and opt_out_trigger are the same; make them differ");
    if (has_method(account, METHOD_PORTAL) && c->settings->portal.enabled &&
        account->notice_from_cstr[0] == 0)
        settings_wrong(
            c->mistake, settings_tree_line(section, NULL, c->mistake),
            "account \"%s\": notice_from is missing; write the sender of portal notices",
            account->name_cstr);
    for (size_t i = 0; i < account->recipient_count; i++)
        check_recipient(c, settings_tree_section(section, "recipient", i),
                        &account->recipients[i]);
}

static void check_user(struct checking *c, struct cfg_t *section,
                       const struct settings_user *user)
{
    check_account_named(c, section, user->account_cstr);
    for (size_t i = 0; i < user->sender_count; i++) {
        struct slice sender = slice_from_cstr(user->senders[i]);
        bool is_domain = sender.len > 0 && sender.at[0] == '@';

        if (is_domain ? !value_is_domain(slice_from(sender, 1)) : !value_is_address(sender))
            settings_wrong(
                c->mistake, settings_tree_line(section, "senders", c->mistake),
                "user \"%s\": sender \"%s\" is no address; write senders = {\"a@x.test\"} "
                "or {\"@x.test\"}",
                user->name_cstr, user->senders[i]);
    }
}

static void check_route(struct checking *c, struct cfg_t *section,
                        const struct settings_route *route)
{
    struct slice domain = slice_from_cstr(route->domain_cstr), host;
    uint16_t port;

    if (!slice_equal(domain, S("*")) && domain.len > 0 && !value_is_domain(domain))
        settings_wrong(c->mistake, settings_tree_line(section, NULL, c->mistake),
                       "route \"%s\" names no domain; write a domain or *", route->domain_cstr);
    if (route->host_cstr[0] != 0 &&
        (!value_host_port_parse(slice_from_cstr(route->host_cstr), &host, &port) || port != 0))
        settings_wrong(
            c->mistake, settings_tree_line(section, "host", c->mistake),
            "host = \"%s\" is not a host; write a name or [192.0.2.1], the port apart",
            route->host_cstr);
}

static void check_top(struct checking *c)
{
    const struct settings *settings = c->settings;

    if (!value_is_domain(slice_from_cstr(settings->hostname_cstr)))
        settings_wrong(
            c->mistake, settings_tree_line(c->tree, "hostname", c->mistake),
            "this machine's name is no domain name; write: hostname = \"mail.example.org\"");
    if (settings->delivery.retry_first_ms > settings->delivery.retry_max_ms)
        settings_wrong(c->mistake,
                       settings_tree_line(settings_tree_section(c->tree, "delivery", 0),
                                          "retry_first", c->mistake),
                       "retry_first is longer than retry_max; make it shorter");
    if (strlen(settings->control_path_cstr) > 100)
        settings_wrong(
            c->mistake, settings_tree_line(c->tree, "state", c->mistake),
            "the control socket's path is longer than 100 bytes; write a shorter: control");
}

void settings_check(struct settings *settings, struct cfg_t *tree,
                    struct settings_mistake *mistake)
{
    static const char *const kinds[] = {"listener", "account",  "domain",    "user",    "route",
                                        "alias",    "lockdown", "exception", "outbound"};
    struct checking c = {settings, tree, mistake};

    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        check_names_differ(&c, kinds[i]);
    check_top(&c);
    check_listeners(&c);
    check_portal(&c);
    for (size_t i = 0; i < settings->account_count; i++)
        check_account(&c, settings_tree_section(tree, "account", i), &settings->accounts[i]);
    for (size_t i = 0; i < settings->domain_count; i++)
        check_account_named(&c, settings_tree_section(tree, "domain", i),
                            settings->domains[i].account_cstr);
    for (size_t i = 0; i < settings->user_count; i++)
        check_user(&c, settings_tree_section(tree, "user", i), &settings->users[i]);
    for (size_t i = 0; i < settings->route_count; i++)
        check_route(&c, settings_tree_section(tree, "route", i), &settings->routes[i]);
    settings_check_sts(settings, tree, mistake);
    settings_check_inbound(settings, tree, mistake);
    settings_check_modes(settings, tree, mistake);
    settings_check_reports(settings, tree, mistake);
    outbound_check(settings, tree, mistake);
}
