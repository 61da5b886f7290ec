/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OUT_MAX_BYTES = 64 << 20,
    IN_MAX_BYTES = IPC_FRAME_MAX_BYTES + (1 << 20),
    READ_BYTES = 1 << 20,
    FDS_MAX = 16,
};

/* A descriptor leaves together with the first byte of its frame. */
struct outgoing_fd {
    uint64_t at_byte; /* counted from the channel's first byte ever */
    int fd;
};

struct ipc_channel {
    int fd;
    struct loop_watch *watch;
    ipc_message_fn *on_message;
    ipc_closed_fn *on_closed;
    void *context;
    struct buffer in, out;
    uint64_t sent_bytes;
    struct outgoing_fd out_fds[FDS_MAX];
    size_t out_fd_count;
    int in_fds[FDS_MAX];
    size_t in_fd_count;
    bool is_handling; /* freed inside a handler: wait until it returns */
    bool is_freed;
    bool is_flush_due;
};

static void on_ready(void *context, int ready);

struct ipc_channel *ipc_channel_new(struct loop *loop, int fd, ipc_message_fn *on_message,
                                    ipc_closed_fn *on_closed, void *context)
{
    struct ipc_channel *channel = calloc(1, sizeof *channel);

    must(channel != NULL);
    channel->fd = fd;
    channel->on_message = on_message;
    channel->on_closed = on_closed;
    channel->context = context;
    buffer_init(&channel->in, IN_MAX_BYTES);
    buffer_init(&channel->out, OUT_MAX_BYTES);
    must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
    channel->watch = loop_watch_new(loop, fd, on_ready, channel);
    loop_watch_set(channel->watch, LOOP_READ);
    return channel;
}

static void destroy(struct ipc_channel *channel)
{
    for (size_t i = 0; i < channel->in_fd_count; i++)
        close(channel->in_fds[i]);
    for (size_t i = 0; i < channel->out_fd_count; i++)
        close(channel->out_fds[i].fd);
    loop_watch_free(&channel->watch);
    close(channel->fd);
    /* Data keys and passwords pass through here. */
    buffer_wipe(&channel->in);
    buffer_wipe(&channel->out);
    free(channel);
}

void ipc_channel_free(struct ipc_channel **channel)
{
    if (*channel == NULL)
        return;
    if ((*channel)->is_handling)
        (*channel)->is_freed = true;
    else
        destroy(*channel);
    *channel = NULL;
}

bool ipc_send(struct ipc_channel *channel, enum ipc_type type, const void *message)
{
    if (!ipc_pack(type, message, &channel->out))
        return false;
    if (!channel->is_flush_due) {
        channel->is_flush_due = true;
        loop_watch_activate(channel->watch, LOOP_WRITE);
    }
    return true;
}

bool ipc_send_fd(struct ipc_channel *channel, enum ipc_type type, const void *message, int fd)
{
    uint64_t at_byte = channel->sent_bytes + buffer_len(&channel->out);

    if (channel->out_fd_count == FDS_MAX || !ipc_send(channel, type, message))
        return false;
    channel->out_fds[channel->out_fd_count++] = (struct outgoing_fd){at_byte, fd};
    return true;
}

int ipc_channel_take_fd(struct ipc_channel *channel)
{
    int fd;

    if (channel->in_fd_count == 0)
        return -1;
    fd = channel->in_fds[0];
    channel->in_fd_count--;
    memmove(channel->in_fds, channel->in_fds + 1,
            channel->in_fd_count * sizeof channel->in_fds[0]);
    return fd;
}

size_t ipc_channel_waiting(const struct ipc_channel *channel)
{
    return buffer_len(&channel->out);
}

/* Send bytes up to the next descriptor, or that descriptor with bytes of its frame. */
static ssize_t send_some(struct ipc_channel *channel)
{
    struct slice bytes = buffer_view(&channel->out);
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec part = {(void *)(uintptr_t)bytes.at, bytes.len};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

    if (channel->out_fd_count > 0 && channel->out_fds[0].at_byte > channel->sent_bytes)
        part.iov_len = (size_t)(channel->out_fds[0].at_byte - channel->sent_bytes);
    else if (channel->out_fd_count > 0) {
        struct cmsghdr *cmsg;

        header.msg_control = control.bytes;
        header.msg_controllen = sizeof control.bytes;
        cmsg = CMSG_FIRSTHDR(&header);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &channel->out_fds[0].fd, sizeof(int));
        if (channel->out_fd_count > 1)
            part.iov_len = (size_t)(channel->out_fds[1].at_byte - channel->out_fds[0].at_byte);
    }
    return sendmsg(channel->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void drop_sent_fd(struct ipc_channel *channel)
{
    close(channel->out_fds[0].fd);
    channel->out_fd_count--;
    memmove(channel->out_fds, channel->out_fds + 1,
            channel->out_fd_count * sizeof channel->out_fds[0]);
}

/* False when the other side is gone. */
static bool write_out(struct ipc_channel *channel)
{
    while (buffer_len(&channel->out) > 0) {
        bool with_fd =
            channel->out_fd_count > 0 && channel->out_fds[0].at_byte == channel->sent_bytes;
        ssize_t sent = send_some(channel);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        if (with_fd)
            drop_sent_fd(channel);
        channel->sent_bytes += (uint64_t)sent;
        buffer_consume(&channel->out, (size_t)sent);
    }
    return true;
}

static void keep_received_fds(struct ipc_channel *channel, struct msghdr *header)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg != NULL;
         cmsg = CMSG_NXTHDR(header, cmsg)) {
        int fd;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        memcpy(&fd, CMSG_DATA(cmsg), sizeof fd);
        if (channel->in_fd_count < FDS_MAX)
            channel->in_fds[channel->in_fd_count++] = fd;
        else
            close(fd);
    }
}

/* Bytes read, 0 at the end of the stream, -1 when nothing is there now. */
static ssize_t read_in(struct ipc_channel *channel)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    size_t room =
        buffer_room(&channel->in) < READ_BYTES ? buffer_room(&channel->in) : READ_BYTES;
    uint8_t *to = buffer_reserve(&channel->in, room);
    struct iovec part = {to, room};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    ssize_t got;

    must(to != NULL && room > 0);
    got = recvmsg(channel->fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR || errno == EWOULDBLOCK ? -1 : 0;
    keep_received_fds(channel, &header);
    buffer_commit(&channel->in, (size_t)got);
    return got;
}

/* Hand out every whole message. False when the stream is broken; err says why. */
static bool dispatch(struct ipc_channel *channel, struct err *err)
{
    while (!channel->is_freed) {
        enum ipc_type type;
        union ipc_any message;
        size_t frame_len = 0;
        enum progress got =
            ipc_unpack(buffer_view(&channel->in), &type, &message, &frame_len, err);

        if (got != PROGRESS_DONE)
            return got == PROGRESS_WAIT;
        channel->on_message(channel->context, channel, type, &message);
        explicit_bzero(&message, sizeof message);
        buffer_consume(&channel->in, frame_len);
    }
    return true;
}

static void on_ready(void *context, int ready)
{
    struct ipc_channel *channel = context;
    struct err err = {0};
    bool is_open = true;

    channel->is_handling = true;
    if ((ready & LOOP_READ) != 0) {
        ssize_t got = read_in(channel);

        is_open = dispatch(channel, &err) && got != 0;
    }
    if (is_open && !channel->is_freed) {
        channel->is_flush_due = false;
        is_open = write_out(channel);
        channel->is_flush_due = buffer_len(&channel->out) > 0;
        loop_watch_set(channel->watch, LOOP_READ | (channel->is_flush_due ? LOOP_WRITE : 0));
    }
    if (!is_open && !channel->is_freed) {
        loop_watch_set(channel->watch, 0);
        channel->on_closed(channel->context, channel, &err);
    }
    channel->is_handling = false;
    if (channel->is_freed)
        destroy(channel);
}

void ipc_channel_flush(struct ipc_channel *channel, int timeout_ms)
{
    int64_t until_ms = loop_now_ms() + timeout_ms;

    while (write_out(channel) && buffer_len(&channel->out) > 0) {
        struct pollfd waiting = {channel->fd, POLLOUT, 0};
        int64_t left_ms = until_ms - loop_now_ms();

        if (left_ms <= 0 || poll(&waiting, 1, (int)left_ms) <= 0)
            return;
    }
}
