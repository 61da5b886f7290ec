/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of this wing: certificates, a spool with content, a deliverer over a local zone, and its results. */
#ifndef DELIVER_TEST_SCENE_H
#define DELIVER_TEST_SCENE_H

#include "deliver/deliverer.h"
#include "deliver/test_peer.h"
#include "ipc/pack.h"
#include "spool/test_house.h"

#include <time.h>

enum { SCENE_RESULTS = 16, CANARY_LINES = 3 };
#define CANARY "canary-9f2c"
static const char content_text[] =
    "Subject: " CANARY "\r\n\r\n.dot " CANARY "\r\nlast " CANARY "\r\n";

struct scene {
    struct house *house;
    struct spool_writer *writer;
    struct loop *loop;
    struct certificate_pair authority, stranger, good, wrong, expired, literal;
    struct settings *settings;
    struct deliverer *deliverer;
    struct delivery *results[SCENE_RESULTS];
    size_t result_count;
};

/*
 * Hosts 1, 2 and 9 live on loopback addresses of this process's own: tests that run beside it may listen on the same
 * port of another address.
 */
static const char *scene_address(unsigned host)
{
    static char text_cstr[10][32];
    unsigned own = (unsigned)getpid();

    snprintf(text_cstr[host], sizeof text_cstr[host], "127.%u.%u.%u", 1 + own % 250,
             own / 250 % 250, host);
    return text_cstr[host];
}

static char scene_host_lines[3][64];
static const char *const scene_zone[] = {
    "one.test. MX 10 mx1.test.", "two.test. MX 10 mx1.test.",  "two.test. MX 20 mx2.test.",
    scene_host_lines[0],         scene_host_lines[1],          scene_host_lines[2],
    "null.test. MX 0 .",         "loop.test. MX 10 us.test.",  "lost.test. MX 10 nowhere.test.",
    "text.test. TXT nothing",    "away.test. MX 10 mx9.test.", "single.test. MX 10 mx1.test.",
};

static inline void scene_write_zone(void)
{
    static const unsigned hosts[] = {1, 2, 9};

    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        snprintf(scene_host_lines[i], sizeof scene_host_lines[i], "mx%u.test. A %s", hosts[i],
                 scene_address(hosts[i]));
}

static inline void scene_issue(struct scene *scene, const struct certificate_pair *authority,
                               const char *name_cstr, const char *address_cstr, int64_t to_s,
                               struct certificate_pair *pair_out)
{
    const char *names_cstr[] = {name_cstr, NULL}, *addresses_cstr[] = {address_cstr, NULL};
    int64_t now_s = (int64_t)time(NULL);
    struct certificate_wish wish = {
        .common_name_cstr = "leaf",
        .dns_names_cstr = names_cstr,
        .addresses_cstr = addresses_cstr,
        .not_before_s = now_s - 90000,
        .not_after_s = now_s + to_s,
    };

    (void)scene;
    must(certificate_issue(authority, &wish, pair_out, NULL));
}

static inline void scene_papers(struct scene *scene)
{
    int64_t now_s = (int64_t)time(NULL);
    struct certificate_wish wish = {.common_name_cstr = "Test authority",
                                    .not_before_s = now_s - 90000,
                                    .not_after_s = now_s + 900000};

    must(certificate_make_authority(&wish, &scene->authority, NULL));
    must(certificate_make_authority(&wish, &scene->stranger, NULL));
    scene_issue(scene, &scene->authority, "mx1.test", NULL, 90000, &scene->good);
    scene_issue(scene, &scene->authority, "other.test", NULL, 90000, &scene->wrong);
    scene_issue(scene, &scene->authority, "mx1.test", NULL, -60, &scene->expired);
    scene_issue(scene, &scene->authority, NULL, scene_address(1), 90000, &scene->literal);
}

static inline void scene_finished(void *context, struct delivery *delivery)
{
    struct scene *scene = context;

    assert_true(scene->result_count < SCENE_RESULTS);
    scene->results[scene->result_count++] = delivery;
}

static const struct deliverer_handlers scene_handlers = {.on_finished = scene_finished};

static inline int scene_open(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct settings *settings = calloc(1, sizeof *settings);
    void *house;

    must(scene != NULL && settings != NULL);
    house_open(&house);
    scene_write_zone();
    scene->house = house;
    scene->writer = open_writer(house, NULL);
    scene->loop = loop_new();
    scene_papers(scene);
    settings->references = 1000;
    settings->hostname_cstr = "us.test";
    settings->trusted_roots.bytes = buffer_view(&scene->authority.certificate_pem);
    settings->delivery = (struct settings_delivery){.helo_cstr = "",
                                                    .connect_timeout_ms = 2000,
                                                    .command_timeout_ms = 400,
                                                    .connections_per_host = 4,
                                                    .messages_per_connection = 100,
                                                    .idle_ms = 5000,
                                                    .prefer_ipv4 = true};
    settings->resolver.local_data = scene_zone;
    settings->resolver.local_data_count = COUNT_OF(scene_zone);
    scene->settings = settings;
    *state = scene;
    return 0;
}

/* After the settings were changed as the test likes them. */
static inline void scene_start(struct scene *scene, uint16_t port)
{
    struct err err;

    scene->settings->delivery.port = port;
    if (!deliverer_new(scene->loop, scene->settings, scene->house->dir_fd, &scene_handlers,
                       scene, &scene->deliverer, &err))
        fail_msg("%s", err.text_cstr);
}

static inline void scene_clear(struct scene *scene)
{
    while (scene->result_count > 0)
        delivery_free(&scene->results[--scene->result_count]);
}

static inline int scene_close(void **state)
{
    struct scene *scene = *state;
    struct certificate_pair *pairs[] = {&scene->authority, &scene->stranger, &scene->good,
                                        &scene->wrong,     &scene->expired,  &scene->literal};
    void *house = scene->house;

    scene_clear(scene);
    deliverer_free(&scene->deliverer);
    for (int i = 0; i < 20; i++)
        loop_run_once(scene->loop);
    loop_free(&scene->loop);
    spool_writer_close(&scene->writer);
    house_close(&house);
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        certificate_pair_deinit(pairs[i]);
    free(scene->settings);
    free(scene);
    return 0;
}

/* A job as the keeper would send it; recipients is a comma-separated list. */
static inline struct delivery *
scene_delivery_of(struct scene *scene, const struct content_ref *content,
                  const char *domain_cstr, const char *recipients_cstr, enum proof_level least)
{
    struct ipc_deliver message = {
        .job = 77,
        .domain = slice_from_cstr(domain_cstr),
        .mail_from = S("ann@us.test"),
        .accepted_ms = clock_unix_ms(),
        .requirement = {.least = least,
                        .cleartext_allowed = least == PROOF_NONE,
                        .cleartext_after_ms = 900000},
        .prefix = S("DKIM-Signature: v=1\r\n"),
        .content = *content,
    };
    struct slice rest = slice_from_cstr(recipients_cstr);
    struct delivery *delivery = NULL;
    struct buffer items;
    struct err err;

    buffer_init(&items, 1 << 20);
    for (uint64_t id = 1; rest.len > 0; id++) {
        struct ipc_recipient item = {.recipient = id, .address = slice_cut(&rest, ',')};

        must(ipc_list_append(&items, IPC_RECIPIENT, &item));
    }
    message.recipients = buffer_view(&items);
    must(spool_keyring_open(scene->house->ring, content, &message.data_key, &err));
    assert_true(delivery_new(&message, &delivery, &err));
    buffer_deinit(&items);
    return delivery;
}

static inline struct delivery *scene_delivery(struct scene *scene, const char *domain_cstr,
                                              const char *recipients_cstr,
                                              enum proof_level least)
{
    struct content_ref content = write_one(scene->writer, slice_from_cstr(content_text), 1000);

    return scene_delivery_of(scene, &content, domain_cstr, recipients_cstr, least);
}

static inline void scene_run(struct scene *scene, size_t wanted)
{
    for (int64_t end = loop_now_ms() + 8000;
         scene->result_count < wanted && loop_now_ms() < end;) {
        loop_run_once(scene->loop);
        usleep(50);
    }
    assert_int_equal(scene->result_count, wanted);
}

/* Send one and wait for it; the result belongs to the scene. */
static inline struct delivery *scene_carry(struct scene *scene, struct delivery *delivery)
{
    size_t before = scene->result_count;

    deliverer_submit(scene->deliverer, delivery);
    assert_int_equal(scene->result_count, before);
    scene_run(scene, before + 1);
    return scene->results[before];
}

/* Content, secure or not, never stands in what came in the clear. */
static inline bool scene_leaked(const struct peer *peer)
{
    struct slice clear = buffer_view(&peer->clear);

    return slice_find_nocase(clear, S(CANARY)) < clear.len ||
           slice_find_nocase(clear, S("bob@")) < clear.len ||
           slice_find_nocase(clear, S("ann@")) < clear.len;
}

#endif
