/* SPDX-License-Identifier: Apache-2.0 */
#include "scout/probe.h"

#include "deliver/client.h"
#include "deliver/directory.h"
#include "deliver/host_policy.h"
#include "deliver/literal.h"

#include <stdio.h>
#include <string.h>

enum {
    LIST_MAX_BYTES = 512 << 10,
    LOOKUPS_MAX_BYTES = 32 << 10,
    HEX_SIZE = 2 * SHA256_BYTES + 1,
    DEFAULT_PORT = 25
};

/* Which connection to an address is under way. */
enum phase {
    PHASE_OPEN,  /* whoever answers: everything is noted */
    PHASE_SMALL, /* the same with a small ClientHello */
    PHASE_DANE,  /* does the certificate match the TLSA records? */
};

struct probe {
    struct directory *directory;
    struct list_link waiter;
    struct directory_entry *hosts, *addresses;
    struct deliver_client *client;
    struct loop_timer *next; /* the walk goes on in a turn of its own */
    struct buffer scratch, list, lookups;
    char domain_cstr[DELIVERY_HOST_SIZE], fixed_cstr[DELIVERY_HOST_SIZE];
    uint16_t port;
    size_t host, address, tried; /* where the walk stands */
    enum phase phase;
    struct host_policy policy;
    struct ipc_tested_host found; /* of the present address; its texts below */
    struct delivery_evidence evidence;
    char address_cstr[DELIVERY_ADDRESS_SIZE], certificate_cstr[HEX_SIZE], tlsa_cstr[240],
        why_cstr[240];
};

static void walk(struct scout_ask *ask);

/* ---- the answer ---- */

static void answer(struct scout_ask *ask, bool ok, bool is_temporary, const char *why_cstr)
{
    struct probe *probe = ask->state;
    const struct ipc_tls_test *question = &ask->question->tls_test;
    struct ipc_tls_tested tested = {
        .ok = ok,
        .temporary = is_temporary,
        .why = slice_from_cstr(why_cstr),
        .mx_secure = probe->hosts != NULL && probe->hosts->is_secure,
        .sts = question->sts,
        .sts_id = question->sts_id,
        .lookups = buffer_view(&probe->lookups),
        .hosts = buffer_view(&probe->list),
    };

    scout_answer(ask, IPC_TLS_TESTED, &tested);
}

static void time_is_up(struct scout_ask *ask)
{
    const struct probe *probe = ask->state;
    bool has_hosts = buffer_len(&probe->list) > 0;

    answer(ask, has_hosts, true,
           has_hosts ? "not all of it: it took too long" : "it took too long");
}

static void let_go(struct scout_ask *ask)
{
    struct probe *probe = ask->state;

    deliver_client_free(&probe->client);
    list_remove(&probe->waiter);
    directory_entry_unref(&probe->hosts);
    directory_entry_unref(&probe->addresses);
    directory_free(&probe->directory);
    loop_timer_free(&probe->next);
    buffer_wipe(&probe->scratch);
    buffer_deinit(&probe->list);
    buffer_deinit(&probe->lookups);
}

/* ---- hosts ---- */

static bool is_fixed(const struct probe *probe)
{
    return probe->fixed_cstr[0] != '\0';
}

static size_t host_count(const struct probe *probe)
{
    return is_fixed(probe) ? 1 : probe->hosts->count;
}

static const char *present_host(const struct probe *probe)
{
    return is_fixed(probe) ? probe->fixed_cstr : probe->hosts->hosts[probe->host].host_cstr;
}

static void note_lookups(struct probe *probe, const struct directory_entry *entry)
{
    if (entry->lookups_cstr != NULL)
        (void)(buffer_append(&probe->lookups, slice_from_cstr(entry->lookups_cstr)) &&
               (entry->lookups_cstr[0] == '\0' || buffer_append_byte(&probe->lookups, '\n')));
}

/* True: there are hosts to look at; else it is answered. */
static bool check_hosts(struct scout_ask *ask)
{
    struct probe *probe = ask->state;
    const struct directory_entry *hosts = probe->hosts;

    switch (hosts->outcome) {
    case RESOLVER_FOUND:
    case RESOLVER_NO_DATA:
        break;
    case RESOLVER_NO_DOMAIN:
        answer(ask, false, false, "the domain does not exist");
        return false;
    case RESOLVER_NULL_MX:
        answer(ask, false, false, "the domain takes no mail (null MX)");
        return false;
    case RESOLVER_TRY_LATER:
        answer(ask, false, true, hosts->text_cstr);
        return false;
    }
    if (hosts->is_loop) {
        answer(ask, false, false, "its best host is this server");
        return false;
    }
    return true;
}

/* ---- one address ---- */

/* One more address is known: into the list, which has room for as many as are tried. */
static void put_found(struct probe *probe)
{
    must(ipc_list_append(&probe->list, IPC_TESTED_HOST, &probe->found));
    probe->tried++;
    probe->address++;
}

static void begin_found(struct probe *probe)
{
    memset(&probe->evidence, 0, sizeof probe->evidence);
    probe->tlsa_cstr[0] = probe->why_cstr[0] = probe->certificate_cstr[0] = '\0';
    probe->found = (struct ipc_tested_host){
        .preference = is_fixed(probe) ? 0 : probe->hosts->hosts[probe->host].preference,
        .mx = slice_from_cstr(present_host(probe)),
    };
}

static void find_policy(const struct scout_ask *ask)
{
    struct probe *probe = ask->state;
    const struct ipc_tls_test *question = &ask->question->tls_test;
    const struct host_policy_facts known = {
        .domain_cstr = probe->domain_cstr,
        .host_cstr = present_host(probe),
        .is_fixed = is_fixed(probe),
        .hosts = probe->hosts,
        .addresses = probe->addresses,
        .sts = question->sts < STS_COUNT ? (enum sts_state)question->sts : STS_NONE,
        .sts_id = question->sts_id,
        .sts_mx = question->sts_mx,
    };
    const struct tls_requirement ordinary = {.cleartext_allowed = true};

    host_policy_find(&known, &ordinary, &probe->policy);
    host_policy_write(&probe->policy, probe->tlsa_cstr, sizeof probe->tlsa_cstr);
    probe->found.dane = probe->policy.facts.dane;
    probe->found.mx_proof = probe->policy.facts.mx;
    probe->found.row = probe->policy.demand.row;
    probe->found.tlsa = slice_from_cstr(probe->tlsa_cstr);
}

static void say_why(struct probe *probe, const char *words_cstr)
{
    snprintf(probe->why_cstr, sizeof probe->why_cstr, "%s", words_cstr);
    probe->found.why = slice_from_cstr(probe->why_cstr);
}

static void write_hex(const uint8_t digest[SHA256_BYTES], char out_cstr[HEX_SIZE])
{
    for (size_t i = 0; i < SHA256_BYTES; i++)
        snprintf(out_cstr + 2 * i, 3, "%02x", digest[i]);
}

/* What the first handshake showed, whether it came about or not. */
static void note_evidence(struct probe *probe, const struct delivery_evidence *evidence)
{
    struct ipc_tested_host *found = &probe->found;
    const struct tls_evidence *tls = &probe->evidence.tls;

    probe->evidence = *evidence;
    found->small_hello = evidence->is_small_hello;
    if (evidence->is_tls) {
        found->tls = slice_from_cstr(tls_version_name(tls->version));
        found->cipher = slice_from_cstr(tls->cipher_cstr);
        found->group = slice_from_cstr(tls->group_cstr);
        found->webpki = tls->is_verified;
    }
    if (!tls->has_certificate)
        return;
    write_hex(tls->certificate_sha256, probe->certificate_cstr);
    found->certificate = slice_from_cstr(probe->certificate_cstr);
    found->names = slice_from_cstr(tls->names_cstr);
    found->issuer = slice_from_cstr(tls->issuer_cstr);
    found->not_after_s = tls->not_after_s;
}

/* TLS with whoever answers: what that is worth under what is published. DANE is asked for on a connection of its own. */
static void judge_open(struct probe *probe)
{
    const struct tls_host_facts *facts = &probe->policy.facts;
    bool is_in_force = facts->sts == STS_ENFORCE || facts->sts == STS_KEPT;

    probe->found.level = PROOF_ENCRYPTED;
    say_why(probe, ""); /* of an earlier connection */
    if (facts->dane == DANE_FAILED)
        say_why(probe, "the TLSA look-up failed");
    else if (is_in_force && !facts->is_listed)
        say_why(probe, "the MTA-STS policy does not name this host");
    else if (probe->found.webpki)
        probe->found.level = PROOF_VERIFIED;
    else
        say_why(probe, probe->evidence.tls.reason_cstr);
}

/* ---- connections ---- */

static void on_ready(void *context, struct deliver_client *client);
static void on_failed(void *context, struct deliver_client *client, enum client_failure failure,
                      const struct err *why);

static void on_step(void *context, struct deliver_client *client, struct delivery *delivery,
                    enum client_step step, const struct err *why)
{
    (void)context;
    (void)client;
    (void)delivery;
    (void)step;
    (void)why;
    must_never("a probe carries no message");
}

static const struct deliver_client_handlers handlers = {
    .on_ready = on_ready, .on_step = on_step, .on_failed = on_failed};

static bool find_contexts(struct scout_ask *ask, struct contexts **contexts_out)
{
    struct scout_epoch *epoch = ask->epoch;
    struct err err = {0};

    if (epoch->contexts == NULL &&
        !contexts_new(epoch->settings->trusted_roots.bytes, &epoch->contexts, &err)) {
        answer(ask, false, true, err.text_cstr);
        return false;
    }
    *contexts_out = epoch->contexts;
    return true;
}

/* True: a connection is under way. */
static bool open_client(struct scout_ask *ask, const struct sockaddr_storage *to,
                        socklen_t to_len, struct contexts *contexts, struct err *err)
{
    struct probe *probe = ask->state;
    const struct settings *settings = ask->epoch->settings;
    bool is_small =
        probe->phase == PHASE_SMALL || (probe->phase == PHASE_DANE && probe->found.small_hello);
    struct deliver_client_options options = {
        .loop = scout_loop(ask->scout),
        .host_cstr = present_host(probe),
        .address = *to,
        .address_len = to_len,
        .helo_cstr = settings->delivery.helo_cstr,
        .connect_timeout_ms = settings->delivery.connect_timeout_ms < PROBE_CONNECT_MS
                                  ? settings->delivery.connect_timeout_ms
                                  : PROBE_CONNECT_MS,
        .command_timeout_ms = settings->delivery.command_timeout_ms < PROBE_COMMAND_MS
                                  ? settings->delivery.command_timeout_ms
                                  : PROBE_COMMAND_MS,
        .idle_ms = 1000,
        .small_hello = is_small,
        .scratch = &probe->scratch,
    };

    if (probe->phase == PHASE_DANE) {
        options.tls = contexts_get(contexts, TLS_TRUST_DANE, is_small);
        options.is_enforced = true;
        options.tlsa = probe->policy.tlsa;
        memcpy(options.names_cstr, probe->policy.names_cstr, sizeof options.names_cstr);
    } else {
        options.tls = contexts_get(contexts, TLS_TRUST_NOBODY, is_small);
    }
    probe->client = deliver_client_open(&options, &handlers, ask, err);
    return probe->client != NULL;
}

static void go_on_later(struct scout_ask *ask)
{
    struct probe *probe = ask->state;

    loop_timer_set(probe->next, 0);
}

/* The connection has shown what it can: another one to this address, or the next address. */
static void end_connection(struct scout_ask *ask, bool is_next)
{
    struct probe *probe = ask->state;

    if (is_next) {
        put_found(probe);
        probe->phase = PHASE_OPEN;
    }
    go_on_later(ask);
}

static void on_ready(void *context, struct deliver_client *client)
{
    struct scout_ask *ask = context;
    struct probe *probe = ask->state;
    struct connection_proof proof = deliver_client_proof(client);
    bool needs_dane;

    if (client != probe->client)
        return;
    if (probe->phase == PHASE_DANE) {
        /* The second time it may have left STARTTLS away: ready is not proved. */
        bool is_proved = proof.is_tls && proof.is_enforced && proof.level >= PROOF_DANE;

        probe->found.level = is_proved ? PROOF_DANE : PROOF_NONE;
        say_why(probe, is_proved ? "" : "STARTTLS is not offered every time");
        deliver_client_quit(&probe->client);
        end_connection(ask, true);
        return;
    }
    probe->found.reached = true;
    probe->found.starttls = deliver_client_saw_starttls(client);
    probe->found.requiretls = proof.offers_requiretls;
    if (proof.is_tls) {
        note_evidence(probe, deliver_client_evidence(client));
        judge_open(probe);
    } else {
        say_why(probe, "STARTTLS is not offered");
    }
    needs_dane = proof.is_tls && probe->policy.tlsa != NULL;
    deliver_client_quit(&probe->client);
    probe->phase = needs_dane ? PHASE_DANE : PHASE_OPEN;
    end_connection(ask, !needs_dane);
}

static void on_failed(void *context, struct deliver_client *client, enum client_failure failure,
                      const struct err *why)
{
    struct scout_ask *ask = context;
    struct probe *probe = ask->state;
    bool may_be_the_hello = deliver_client_may_be_the_hello(client);

    if (client != probe->client)
        return;
    if (probe->phase == PHASE_DANE) {
        /* It did TLS a moment ago: what is wrong now is the match, which mail would miss, too. */
        probe->found.level = PROOF_ENCRYPTED;
        say_why(probe, why->text_cstr);
    } else if (failure == CLIENT_NO_TLS) {
        probe->found.reached = probe->found.starttls = true;
        note_evidence(probe, deliver_client_evidence(client));
        say_why(probe, why->text_cstr);
    } else {
        say_why(probe, why->text_cstr);
    }
    deliver_client_free(&probe->client);
    if (probe->phase == PHASE_OPEN && failure == CLIENT_NO_TLS && may_be_the_hello) {
        probe->phase = PHASE_SMALL;
        end_connection(ask, false);
        return;
    }
    end_connection(ask, true);
}

/* ---- the walk ---- */

/* DONE: there is a candidate. WAIT: the DNS is asked. FAIL: no more. */
static enum progress find_address(struct probe *probe, struct dns_address *address_out)
{
    for (; probe->host < host_count(probe); probe->host++, probe->address = 0) {
        if (literal_is(present_host(probe))) {
            if (probe->address == 0 && literal_parse(present_host(probe), address_out))
                return PROGRESS_DONE;
            continue;
        }
        if (probe->addresses == NULL) {
            if (directory_addresses(probe->directory, present_host(probe), probe->port,
                                    &probe->waiter, &probe->addresses) != PROGRESS_DONE)
                return PROGRESS_WAIT;
            note_lookups(probe, probe->addresses);
            if (probe->addresses->count == 0) {
                begin_found(probe);
                say_why(probe, probe->addresses->outcome == RESOLVER_TRY_LATER
                                   ? probe->addresses->text_cstr
                                   : "the host has no address");
                put_found(probe);
            }
        }
        if (probe->address < probe->addresses->count) {
            *address_out = probe->addresses->addresses[probe->address];
            return PROGRESS_DONE;
        }
        directory_entry_unref(&probe->addresses);
    }
    return PROGRESS_FAIL;
}

static bool find_hosts(struct scout_ask *ask)
{
    struct probe *probe = ask->state;

    if (is_fixed(probe) || probe->hosts != NULL)
        return true;
    if (directory_hosts(probe->directory, probe->domain_cstr, &probe->waiter, &probe->hosts) !=
        PROGRESS_DONE)
        return false;
    note_lookups(probe, probe->hosts);
    return check_hosts(ask);
}

static void walk(struct scout_ask *ask)
{
    struct probe *probe = ask->state;
    struct contexts *contexts = NULL;
    struct sockaddr_storage to;
    struct dns_address address;
    struct err err = {0};
    enum progress got;
    socklen_t to_len;

    if (!find_hosts(ask))
        return;
    got = probe->tried < PROBE_ADDRESSES_MAX ? find_address(probe, &address) : PROGRESS_FAIL;
    if (got == PROGRESS_WAIT)
        return;
    if (got == PROGRESS_FAIL) {
        answer(ask, true, false, "");
        return;
    }
    if (!find_contexts(ask, &contexts))
        return;
    to_len = literal_socket_address(&address, probe->port, &to);
    if (probe->phase == PHASE_OPEN) {
        begin_found(probe);
        address_write((const struct sockaddr *)&to, probe->address_cstr,
                      sizeof probe->address_cstr);
        probe->found.address = slice_from_cstr(probe->address_cstr);
        find_policy(ask);
    }
    if (open_client(ask, &to, to_len, contexts, &err))
        return;
    say_why(probe, err.text_cstr);
    end_connection(ask, true);
}

static void on_next(void *context)
{
    walk(context);
}

static void on_known(void *context, struct list_link *waiter, struct directory_entry *entry)
{
    (void)waiter;
    (void)entry;
    walk(context);
}

static void begin(struct scout_ask *ask)
{
    struct probe *probe = ask->state;
    const struct ipc_tls_test *question = &ask->question->tls_test;
    const struct settings *settings = ask->epoch->settings;

    buffer_init(&probe->scratch, CLIENT_SCRATCH_BYTES);
    buffer_init(&probe->list, LIST_MAX_BYTES);
    buffer_init(&probe->lookups, LOOKUPS_MAX_BYTES);
    probe->port = (uint16_t)(question->port != 0            ? question->port
                             : settings->delivery.port != 0 ? settings->delivery.port
                                                            : DEFAULT_PORT);
    probe->next = loop_timer_new(scout_loop(ask->scout), on_next, ask);
    probe->directory =
        directory_new(&(struct directory_options){.resolver = ask->epoch->resolver,
                                                  .own_host_cstr = settings->hostname_cstr,
                                                  .on_known = on_known,
                                                  .context = ask});
    if (!slice_to_cstr(question->domain, probe->domain_cstr, sizeof probe->domain_cstr) ||
        !slice_to_cstr(question->host, probe->fixed_cstr, sizeof probe->fixed_cstr)) {
        answer(ask, false, false, "the name is too long");
        return;
    }
    if (probe->fixed_cstr[0] == '\0' && literal_is(probe->domain_cstr))
        memcpy(probe->fixed_cstr, probe->domain_cstr, sizeof probe->fixed_cstr);
    walk(ask);
}

const struct scout_kind scout_probe = {
    .question = IPC_TLS_TEST,
    .lane = SCOUT_TESTS,
    .state_bytes = sizeof(struct probe),
    .begin = begin,
    .time_is_up = time_is_up,
    .let_go = let_go,
};
