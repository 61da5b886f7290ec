/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/shelf.h"

#include "spool/internal.h"

#include <stdlib.h>
#include <unistd.h>

enum { SHELF_SEGMENTS = 8 };

struct spool_shelf {
    int dir_fd;
    struct shelf_place {
        struct spool_shared shared; /* fd < 0: free */
        uint64_t segment;
        bool was_asked; /* since spool_shelf_tidy looked last */
    } places[SHELF_SEGMENTS];
};

struct spool_shelf *spool_shelf_new(int dir_fd)
{
    struct spool_shelf *shelf = calloc(1, sizeof *shelf);

    must(shelf != NULL);
    shelf->dir_fd = dir_fd;
    for (size_t i = 0; i < SHELF_SEGMENTS; i++)
        shelf->places[i].shared.fd = -1;
    return shelf;
}

static void empty(struct shelf_place *place)
{
    must(place->shared.readers == 0);
    if (place->shared.fd >= 0)
        close(place->shared.fd);
    *place = (struct shelf_place){.shared.fd = -1};
}

void spool_shelf_free(struct spool_shelf **shelf)
{
    if (*shelf == NULL)
        return;
    for (size_t i = 0; i < SHELF_SEGMENTS; i++)
        empty(&(*shelf)->places[i]);
    free(*shelf);
    *shelf = NULL;
}

/* Where the segment is, or where it may be put: a free place, or one that nobody reads. NULL: all are in use. */
static struct shelf_place *find(struct spool_shelf *shelf, uint64_t segment)
{
    struct shelf_place *best = NULL;

    for (size_t i = 0; i < SHELF_SEGMENTS; i++) {
        struct shelf_place *place = &shelf->places[i];

        if (place->shared.fd >= 0 && place->segment == segment)
            return place;
        if (place->shared.readers > 0)
            continue;
        if (best == NULL || place->shared.fd < 0 ||
            (best->shared.fd >= 0 && best->was_asked && !place->was_asked))
            best = place;
    }
    return best;
}

bool spool_shelf_open(struct spool_shelf *shelf, const struct content_ref *ref,
                      const struct secret *data_key, struct spool_reader **reader_out,
                      struct err *err)
{
    struct shelf_place *place = find(shelf, ref->segment);

    if (place == NULL)
        return spool_reader_open(shelf->dir_fd, ref, data_key, reader_out, err);
    if (place->shared.fd < 0 || place->segment != ref->segment) {
        empty(place);
        place->shared.fd = spool__segment_open(shelf->dir_fd, ref->segment, err);
        if (place->shared.fd < 0)
            return false;
        place->segment = ref->segment;
    }
    place->was_asked = true;
    return spool__reader_open_shared(&place->shared, ref, data_key, reader_out, err);
}

bool spool_shelf_tidy(struct spool_shelf *shelf)
{
    bool has_any = false;

    for (size_t i = 0; i < SHELF_SEGMENTS; i++) {
        struct shelf_place *place = &shelf->places[i];

        if (place->shared.readers == 0 && !place->was_asked)
            empty(place);
        place->was_asked = false;
        has_any = has_any || place->shared.fd >= 0;
    }
    return has_any;
}
