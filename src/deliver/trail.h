/* SPDX-License-Identifier: Apache-2.0 */
/* What became of a delivery at the host where it stands, in a line for people. */
#ifndef DELIVER_TRAIL_H
#define DELIVER_TRAIL_H

#include "deliver/delivery.h"

#include <sys/socket.h>

/* A line about the host that delivery->evidence names; it is also the last word, if no other host is left. */
void trail_say(struct delivery *delivery, const char *text_cstr);
/* The same from what the host answered about the recipients. */
void trail_say_replies(struct delivery *delivery);

/* Evidence begins anew at each candidate: nothing seen at another host may stay in it. */
void trail_begin(struct delivery *delivery, const char *host_cstr,
                 const struct sockaddr_storage *to);

#endif
