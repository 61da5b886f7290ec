/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/channel.h"

#include "kit/kit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct ipc_accept sample_accept(struct buffer *list)
{
    struct ipc_recipient one = {.recipient = 7, .address = S("bob@x.test"), .notify = 4};
    struct ipc_recipient two = {
        .recipient = 8, .address = S("eve@y.test"), .orcpt = S("rfc822;z")};
    struct ipc_accept accept = {
        .ask = 1,
        .message = UINT64_C(0x1122334455667788),
        .mail_from = S("alice@a.test"),
        .smtputf8 = true,
        .expires_ms = -5,
        .content = {.segment = 9, .offset = 10, .sealed_bytes = 11, .plain_bytes = 12},
    };

    accept.content.wrapped_key[39] = 0xAB;
    assert_true(ipc_list_append(list, IPC_RECIPIENT, &one));
    assert_true(ipc_list_append(list, IPC_RECIPIENT, &two));
    accept.recipients = buffer_view(list);
    return accept;
}

static void test_what_is_packed_unpacks(void **state)
{
    struct buffer list, frame;
    struct ipc_accept accept;
    union ipc_any any;
    enum ipc_type type;
    struct ipc_recipient item;
    struct slice rest;
    size_t len;
    struct err err = {0};

    (void)state;
    buffer_init(&list, 1000);
    buffer_init(&frame, 10000);
    accept = sample_accept(&list);
    assert_true(ipc_pack(IPC_ACCEPT, &accept, &frame));
    for (size_t i = 0; i < buffer_len(&frame); i++)
        assert_int_equal(
            ipc_unpack(slice_head(buffer_view(&frame), i), &type, &any, &len, &err),
            PROGRESS_WAIT);
    assert_int_equal(ipc_unpack(buffer_view(&frame), &type, &any, &len, &err), PROGRESS_DONE);
    assert_int_equal(type, IPC_ACCEPT);
    assert_int_equal(len, buffer_len(&frame));
    assert_true(any.accept.message == accept.message);
    assert_true(any.accept.expires_ms == -5);
    assert_true(any.accept.smtputf8);
    assert_int_equal(any.accept.content.wrapped_key[39], 0xAB);
    rest = any.accept.recipients;
    assert_int_equal(ipc_list_next(&rest, IPC_RECIPIENT, &item), PROGRESS_DONE);
    assert_true(slice_equal(item.address, S("bob@x.test")));
    assert_int_equal(ipc_list_next(&rest, IPC_RECIPIENT, &item), PROGRESS_DONE);
    assert_true(slice_equal(item.orcpt, S("rfc822;z")));
    assert_int_equal(ipc_list_next(&rest, IPC_RECIPIENT, &item), PROGRESS_WAIT);
    buffer_deinit(&list);
    buffer_deinit(&frame);
}

static void test_malformed_frames_are_refused(void **state)
{
    static const struct slice refused[] = {
        SLICE_INIT("\xff\xff\xff\xff\x01\x00"),                     /* longer than any frame */
        SLICE_INIT("\x00\x00\x00\x00\x00\x00"),                     /* type 0 */
        SLICE_INIT("\x00\x00\x00\x00\xff\xff"),                     /* no such type */
        SLICE_INIT("\x01\x00\x00\x00\x02\x00\x02"),                 /* ready: a flag of 2 */
        SLICE_INIT("\x05\x00\x00\x00\x02\x00\x01\xff\xff\xff\xff"), /* bytes past the frame */
    };
    union ipc_any any;
    enum ipc_type type;
    size_t len;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct err err = {0};

        assert_int_equal(ipc_unpack(refused[i], &type, &any, &len, &err), PROGRESS_FAIL);
        assert_int_equal(err.class, ERR_PEER);
    }
    assert_string_equal(ipc_type_name(IPC_ACCEPT), "accept");
    assert_string_equal(ipc_type_name((enum ipc_type)999), "?");
}

struct inbox {
    int count, closed;
    int fd;
    uint64_t last_ask;
};

static void on_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                       const union ipc_any *message)
{
    struct inbox *inbox = context;

    assert_true(type == IPC_CONTROL || type == IPC_ATTACH);
    if (type == IPC_CONTROL)
        inbox->last_ask = message->control.ask;
    else
        inbox->fd = ipc_channel_take_fd(channel);
    inbox->count++;
}

static void on_closed(void *context, struct ipc_channel *channel, const struct err *why)
{
    (void)channel;
    (void)why;
    ((struct inbox *)context)->closed++;
}

static void test_channel_carries_messages_and_descriptors(void **state)
{
    struct loop *loop = loop_new();
    struct inbox left = {.fd = -1}, right = {.fd = -1};
    struct ipc_channel *a, *b;
    struct ipc_control control = {0};
    struct ipc_attach attach = {.role = ROLE_SMTPD};
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    a = ipc_channel_new(loop, pair[0], on_message, on_closed, &left);
    b = ipc_channel_new(loop, pair[1], on_message, on_closed, &right);
    for (uint64_t i = 1; i <= 1000; i++) {
        control.ask = i;
        assert_true(ipc_send(a, IPC_CONTROL, &control));
        if (i == 500)
            assert_true(ipc_send_fd(a, IPC_ATTACH, &attach, open("/dev/null", O_RDONLY)));
    }
    for (int i = 0; i < 50 && right.count < 1001; i++)
        loop_run_once(loop);
    assert_int_equal(right.count, 1001);
    assert_true(right.last_ask == 1000);
    assert_true(right.fd >= 0);
    close(right.fd);
    ipc_channel_free(&a);
    for (int i = 0; i < 10 && right.closed == 0; i++)
        loop_run_once(loop);
    assert_int_equal(right.closed, 1);
    ipc_channel_free(&b);
    loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_packed_unpacks),
        cmocka_unit_test(test_malformed_frames_are_refused),
        cmocka_unit_test(test_channel_carries_messages_and_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
