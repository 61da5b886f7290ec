/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doubly linked list through a `struct list_link` inside each element. The list owns nothing. A
 * zeroed link is on no list.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_link {
    struct list_link *previous, *next;
};

struct list {
    struct list_link head; /* head.next = first, head.previous = last */
};

/* The element that `link` is inside of, as the member `member` of `type`. */
#define LIST_ELEMENT(link, type, member)                                                       \
    ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
    list->head.previous = list->head.next = &list->head;
}
static inline bool list_is_empty(const struct list *list)
{
    return list->head.next == &list->head;
}
static inline bool list_is_linked(const struct list_link *link)
{
    return link->next != NULL;
}
static inline void list_push_back(struct list *list, struct list_link *link)
{
    link->previous = list->head.previous;
    link->next = &list->head;
    link->previous->next = link;
    list->head.previous = link;
}
static inline void list_push_front(struct list *list, struct list_link *link)
{
    link->previous = &list->head;
    link->next = list->head.next;
    link->next->previous = link;
    list->head.next = link;
}
static inline void list_remove(struct list_link *link)
{
    if (link->next == NULL)
        return;
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link->previous = link->next = NULL;
}
/* NULL when empty. */
static inline struct list_link *list_first(const struct list *list)
{
    return list_is_empty(list) ? NULL : list->head.next;
}
/* The link after `link`, NULL at the end. */
static inline struct list_link *list_next(const struct list *list, const struct list_link *link)
{
    return link->next == &list->head ? NULL : link->next;
}
/* Unlink and return the first, NULL when empty. */
static inline struct list_link *list_take_first(struct list *list)
{
    struct list_link *link = list_first(list);

    if (link != NULL)
        list_remove(link);
    return link;
}

#endif
