/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills a state folder with a long queue, through the server's own code: sealed segments, sealed rows, the
 * states, counts and events that mail which was tried would have. For tests of start and of long queues; the
 * server must not run on the folder meanwhile.
 *
 *     queue-fill --state DIR --master FILE [--user NAME] [OPTION NUMBER]...
 *
 * --recipients 1000000   rows in the queue in all
 * --per-message 1        recipients of each message
 * --domains 10000        fill0.NAME, fill1.NAME …; recipients go round them
 * --suffix fill.test     NAME
 * --addresses 100000     different recipients; senders are a tenth as many
 * --bytes 1000           content of each message
 * --fresh 10             of a hundred: never tried, due now
 * --past 20              of a hundred: deferred, due some time in the last hour; the rest is due later
 * --later 14400          seconds over which those due later are spread
 */
#include "crypto/random.h"
#include "keeper/state.h"
#include "keeper/story.h"
#include "os/loop.h"
#include "spool/writer.h"
#include "store/address.h"
#include "store/domain.h"
#include "store/event.h"
#include "store/key.h"
#include "store/message.h"
#include "store/recipient.h"
#include "store/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_SIZE = 4096,
    MASTER_MAX_BYTES = 65536,
    BATCH_RECIPIENTS = 20000,
    BYTES_MAX = 1 << 20,
    MAKER = 63, /* no role's number that a small server uses */
    HOUR_MS = 3600 * 1000,
};

struct options {
    const char *state_cstr, *master_cstr, *user_cstr, *suffix_cstr;
    uint64_t recipients, per_message, domains, addresses, bytes, fresh, past, later;
};

struct filler {
    struct options options;
    struct store *store;
    int queue_fd;
    struct id_maker ids;
    struct spool_writer *writer;
    struct content_ref *refs; /* of the batch */
    size_t ref_count;
    uint64_t *domain_ids; /* 0 = not made yet */
    uint8_t *content;
    uint64_t done;
    int64_t now_ms;
};

static void die(const char *what_cstr, const char *why_cstr)
{
    fprintf(stderr, "queue-fill: %s: %s\n", what_cstr, why_cstr);
    exit(1);
}

/* ---- options ---- */

static uint64_t *number_of(struct options *options, const char *name_cstr)
{
    const struct {
        const char *name_cstr;
        uint64_t *value;
    } table[] = {{"--recipients", &options->recipients},
                 {"--per-message", &options->per_message},
                 {"--domains", &options->domains},
                 {"--addresses", &options->addresses},
                 {"--bytes", &options->bytes},
                 {"--fresh", &options->fresh},
                 {"--past", &options->past},
                 {"--later", &options->later}};

    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (strcmp(name_cstr, table[i].name_cstr) == 0)
            return table[i].value;
    return NULL;
}

static void read_options(struct options *options, int argc, char **argv)
{
    *options = (struct options){.suffix_cstr = "fill.test",
                                .recipients = 1000000,
                                .per_message = 1,
                                .domains = 10000,
                                .addresses = 100000,
                                .bytes = 1000,
                                .fresh = 10,
                                .past = 20,
                                .later = 4 * 3600};
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t *number = number_of(options, argv[i]);

        if (strcmp(argv[i], "--state") == 0)
            options->state_cstr = argv[i + 1];
        else if (strcmp(argv[i], "--master") == 0)
            options->master_cstr = argv[i + 1];
        else if (strcmp(argv[i], "--user") == 0)
            options->user_cstr = argv[i + 1];
        else if (strcmp(argv[i], "--suffix") == 0)
            options->suffix_cstr = argv[i + 1];
        else if (number == NULL || !slice_parse_u64(slice_from_cstr(argv[i + 1]), number))
            die(argv[i], "no such option, or no number");
    }
    if (argc % 2 == 0 || options->state_cstr == NULL || options->master_cstr == NULL ||
        options->per_message == 0 || options->domains == 0 || options->addresses < 10 ||
        options->bytes < 100 || options->bytes > BYTES_MAX || options->later == 0)
        die("usage", "--state DIR --master FILE [--user NAME] [OPTION NUMBER]...");
}

/* ---- the folder ---- */

static int open_queue(const char *state_cstr)
{
    char path_cstr[PATH_SIZE];
    int fd;

    if (mkdir(state_cstr, 0700) != 0 && errno != EEXIST)
        die(state_cstr, strerror(errno));
    snprintf(path_cstr, sizeof path_cstr, "%s/queue", state_cstr);
    if (mkdir(path_cstr, 0700) != 0 && errno != EEXIST)
        die(path_cstr, strerror(errno));
    fd = open(path_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        die(path_cstr, strerror(errno));
    return fd;
}

static void open_keys(struct filler *filler)
{
    uint8_t text[MASTER_MAX_BYTES];
    int fd = open(filler->options.master_cstr, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text);
    struct err err = {0};

    if (len < 0)
        die(filler->options.master_cstr, strerror(errno));
    close(fd);
    if (!store_open(filler->options.state_cstr, &filler->store, &err) ||
        !store_keys_open(filler->store, slice_of(text, (size_t)len), &err))
        die("the database", err.text_cstr);
    explicit_bzero(text, sizeof text);
}

/* What root wrote belongs to the server's user. */
static void give_away(const char *dir_cstr, uid_t user, gid_t group)
{
    DIR *dir = opendir(dir_cstr);
    struct dirent *entry;

    if (dir == NULL || fchown(dirfd(dir), user, group) != 0)
        die(dir_cstr, strerror(errno));
    while ((entry = readdir(dir)) != NULL) {
        struct stat info;
        char path_cstr[PATH_SIZE];

        if (entry->d_name[0] == '.' ||
            fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        snprintf(path_cstr, sizeof path_cstr, "%s/%s", dir_cstr, entry->d_name);
        if (S_ISDIR(info.st_mode))
            give_away(path_cstr, user, group);
        else if (S_ISREG(info.st_mode) &&
                 fchownat(dirfd(dir), entry->d_name, user, group, AT_SYMLINK_NOFOLLOW) != 0)
            die(path_cstr, strerror(errno));
    }
    closedir(dir);
}

/* ---- rows ---- */

static uint64_t domain_of(struct filler *filler, uint64_t number)
{
    uint64_t at = number % filler->options.domains;

    if (filler->domain_ids[at] == 0) {
        struct store_domain row;
        char name_cstr[STORE_DOMAIN_SIZE];

        snprintf(name_cstr, sizeof name_cstr, "fill%llu.%s", (unsigned long long)at,
                 filler->options.suffix_cstr);
        if (!store_domain_put(filler->store, slice_from_cstr(name_cstr), &row))
            die(name_cstr, "cannot be written");
        filler->domain_ids[at] = row.id;
    }
    return filler->domain_ids[at];
}

static uint64_t address_of(struct filler *filler, const char *word_cstr, uint64_t number,
                           uint64_t domain)
{
    char text_cstr[STORE_DOMAIN_SIZE + 64];

    snprintf(text_cstr, sizeof text_cstr, "%s%llu@fill%llu.%s", word_cstr,
             (unsigned long long)number, (unsigned long long)domain,
             filler->options.suffix_cstr);
    return store_address_put(filler->store, slice_from_cstr(text_cstr));
}

/* What a courier would have said of a host that does not answer. */
static void tell_deferred(struct filler *filler, uint64_t message, uint64_t number)
{
    struct store_event event = {.message = message,
                                .id = id_next(&filler->ids, filler->now_ms),
                                .number = (int64_t)number,
                                .kind = EVENT_DEFERRED,
                                .text_count = 13};

    event.texts[11] = S("no host of the domain answers");
    event.texts[12] = S("192.0.2.1: connection timed out");
    store_event_put(filler->store, &event);
}

/* Fresh, due in the last hour, or due later, by its share. */
static void choose_state(struct filler *filler, struct store_recipient *row)
{
    const struct options *options = &filler->options;
    uint64_t dice = random_u64(), kind = dice % 100;
    int64_t spread = (int64_t)(dice >> 16 & 0xFFFFFFFF);

    row->state = STATE_DEFERRED;
    row->attempts = 1 + (unsigned)(dice >> 8 & 3);
    if (kind < options->fresh) {
        row->state = STATE_PLANNED;
        row->attempts = 0;
        row->due_ms = filler->now_ms;
    } else if (kind < options->fresh + options->past) {
        row->due_ms = filler->now_ms - spread % HOUR_MS;
    } else {
        row->due_ms = filler->now_ms + 1000 + spread % ((int64_t)options->later * 1000);
    }
}

static void write_recipient(struct filler *filler, uint64_t message, uint64_t number)
{
    uint64_t at = filler->done;
    struct store_recipient row = {
        .message = message,
        .number = number,
        .domain = domain_of(filler, at),
        .method = METHOD_REGULAR,
        .requirement = {.least = PROOF_NONE, .cleartext_allowed = true},
        .reasons = S("It is not marked secure."),
    };

    row.address = address_of(filler, "reader", at % filler->options.addresses,
                             at % filler->options.domains);
    choose_state(filler, &row);
    store_recipient_put(filler->store, &row);
    if (row.state == STATE_DEFERRED)
        tell_deferred(filler, message, number);
    filler->done++;
}

/* ---- messages ---- */

static struct content_ref write_content(struct filler *filler)
{
    struct spool_message *message = spool_message_begin(filler->writer);
    struct content_ref ref = {0};
    struct err err = {0};

    snprintf((char *)filler->content, 100, "Subject: %llu\r\n\r\n",
             (unsigned long long)filler->done);
    if (!spool_message_write(message, slice_of(filler->content, filler->options.bytes), &err) ||
        !spool_message_finish(&message, &ref, &err))
        die("a segment", err.text_cstr);
    return ref;
}

static void write_message(struct filler *filler)
{
    uint64_t left = filler->options.recipients - filler->done, sender = random_u64();
    uint64_t count = left < filler->options.per_message ? left : filler->options.per_message;
    struct store_message row = {
        .id = id_next(&filler->ids, filler->now_ms),
        .kind = 0,
        .accepted_ms = filler->now_ms - HOUR_MS,
        .recipients = count,
        .open = count,
        .live = count,
        .content = write_content(filler),
        .has_key = true,
        .account = S("fill"),
        .received_by = S("ESMTPS TLSv1.3 TLS_AES_256_GCM_SHA384"),
        .header_id = S("20261122070000.12345@fill.test"),
    };

    sender %= filler->options.addresses / 10;
    row.sender = address_of(filler, "sender", sender, sender % filler->options.domains);
    for (uint64_t i = 0; i < count; i++)
        write_recipient(filler, row.id, i);
    store_message_put(filler->store, &row);
    filler->refs[filler->ref_count++] = row.content;
}

/* Content on disk, segments counted, rows committed: in the order that the keeper has. */
static void commit(struct filler *filler)
{
    struct err err = {0};
    uint64_t segment = 0;
    int64_t live = 0;

    if (!spool_writer_sync(filler->writer, &err))
        die("a segment", err.text_cstr);
    for (size_t i = 0; i < filler->ref_count; i++) {
        if (filler->refs[i].segment != segment) {
            store_segment_count(filler->store, SPOOL_QUEUE, segment, live);
            segment = filler->refs[i].segment;
            live = 0;
        }
        live++;
    }
    store_segment_count(filler->store, SPOOL_QUEUE, segment, live);
    if (!store_commit(filler->store, &err))
        die("the database", err.text_cstr);
    store_checkpoint_if_due(filler->store);
    filler->ref_count = 0;
}

int main(int argc, char **argv)
{
    static struct filler filler;
    int64_t began_ms = loop_now_ms();

    read_options(&filler.options, argc, argv);
    filler.now_ms = clock_unix_ms();
    filler.ids.maker = MAKER;
    filler.queue_fd = open_queue(filler.options.state_cstr);
    open_keys(&filler);
    filler.writer =
        spool_writer_open(filler.queue_fd, SPOOL_QUEUE, &filler.ids,
                          recipient_key_certificate(store_key_pair(filler.store, 0)), NULL);
    filler.refs = calloc(BATCH_RECIPIENTS + 1, sizeof *filler.refs);
    filler.domain_ids = calloc(filler.options.domains, sizeof *filler.domain_ids);
    filler.content = malloc(BYTES_MAX);
    must(filler.refs != NULL && filler.domain_ids != NULL && filler.content != NULL);
    memset(filler.content, 'x', BYTES_MAX);
    while (filler.done < filler.options.recipients) {
        uint64_t until = filler.done + BATCH_RECIPIENTS;

        while (filler.done < until && filler.done < filler.options.recipients)
            write_message(&filler);
        commit(&filler);
    }
    spool_writer_close(&filler.writer);
    store_close(&filler.store);
    if (filler.options.user_cstr != NULL) {
        const struct passwd *user = getpwnam(filler.options.user_cstr);

        if (user == NULL)
            die(filler.options.user_cstr, "no such user");
        give_away(filler.options.state_cstr, user->pw_uid, user->pw_gid);
    }
    printf("%llu recipients queued in %.1f s\n", (unsigned long long)filler.done,
           (double)(loop_now_ms() - began_ms) / 1000.0);
    free(filler.refs);
    free(filler.domain_ids);
    free(filler.content);
    return 0;
}
