/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/pack.h"

#include "base/number.h"

#include <string.h>

enum field_kind {
    FIELD_NUMBER,
    FIELD_SIGNED,
    FIELD_FLAG,
    FIELD_BYTES,
    FIELD_SECRET,
    FIELD_CONTENT,
    FIELD_REQUIREMENT
};

struct field {
    enum field_kind kind;
    size_t offset;
};

struct message_type {
    const char *name_cstr;
    size_t size;
    const struct field *fields;
    size_t field_count;
};

#define FIELD_ROW(M, KIND, field) {FIELD_##KIND, offsetof(struct ipc_##M, field)},
#define FIELDS_OF(NAME, name)                                                                  \
    static const struct field name##_fields[] = {IPC_##NAME##_FIELDS(FIELD_ROW, name)};
IPC_TABLE(FIELDS_OF)

#define TYPE_ROW(NAME, name)                                                                   \
    [IPC_##NAME] = {#name, sizeof(struct ipc_##name), name##_fields, COUNT_OF(name##_fields)},
static const struct message_type types[IPC_COUNT] = {IPC_TABLE(TYPE_ROW)};

static bool append_number(struct buffer *out, uint64_t value, size_t len)
{
    uint8_t *to = buffer_reserve(out, len);

    if (to == NULL)
        return false;
    number_put_little(to, value, len);
    buffer_commit(out, len);
    return true;
}

static bool append_content(struct buffer *out, const struct content_ref *content)
{
    return append_number(out, content->segment, 8) && append_number(out, content->offset, 8) &&
           append_number(out, content->sealed_bytes, 8) &&
           append_number(out, content->plain_bytes, 8) &&
           buffer_append(out, slice_of(content->wrapped_key, sizeof content->wrapped_key));
}

static bool append_requirement(struct buffer *out, const struct tls_requirement *requirement)
{
    return append_number(out, requirement->least, 1) &&
           append_number(out, requirement->tls_1_3_only, 1) &&
           append_number(out, requirement->cleartext_allowed, 1) &&
           append_number(out, requirement->cleartext_after_ms, 4) &&
           append_number(out, requirement->requiretls, 1) &&
           append_number(out, requirement->requiretls_relaxed, 1) &&
           append_number(out, requirement->mx_proved, 1) &&
           append_number(out, requirement->tls_not_required, 1);
}

static bool append_field(struct buffer *out, const struct field *field, const uint8_t *message)
{
    const void *at = message + field->offset;

    switch (field->kind) {
    case FIELD_NUMBER:
    case FIELD_SIGNED: {
        uint64_t value;

        memcpy(&value, at, sizeof value);
        return append_number(out, value, 8);
    }
    case FIELD_FLAG:
        return append_number(out, *(const bool *)at, 1);
    case FIELD_BYTES: {
        const struct slice *bytes = at;

        return append_number(out, bytes->len, 4) && buffer_append(out, *bytes);
    }
    case FIELD_SECRET:
        return buffer_append(out, slice_of(at, sizeof(struct secret)));
    case FIELD_CONTENT:
        return append_content(out, at);
    case FIELD_REQUIREMENT:
        return append_requirement(out, at);
    }
    return false;
}

static bool append_fields(struct buffer *out, enum ipc_type type, const void *message)
{
    for (size_t i = 0; i < types[type].field_count; i++)
        if (!append_field(out, &types[type].fields[i], message))
            return false;
    return true;
}

bool ipc_pack(enum ipc_type type, const void *message, struct buffer *out)
{
    size_t before = buffer_len(out), len;

    must(type > IPC_NONE && type < IPC_COUNT);
    if (!append_number(out, 0, 4) || !append_number(out, type, 2) ||
        !append_fields(out, type, message)) {
        buffer_truncate(out, before);
        return false;
    }
    len = buffer_len(out) - before - IPC_FRAME_HEAD_BYTES;
    if (len > IPC_FRAME_MAX_BYTES) {
        buffer_truncate(out, before);
        return false;
    }
    number_put_little(out->at + out->begin + before, len, 4);
    return true;
}

/* Take `len` bytes from the front; NULL when there are fewer. */
static const uint8_t *take(struct slice *rest, size_t len)
{
    const uint8_t *at = rest->at;

    if (rest->len < len)
        return NULL;
    rest->at += len;
    rest->len -= len;
    return at;
}

static bool take_number(struct slice *rest, uint64_t *value_out, size_t len)
{
    const uint8_t *at = take(rest, len);

    if (at == NULL)
        return false;
    *value_out = number_get_little(at, len);
    return true;
}

static bool take_content(struct slice *rest, struct content_ref *content_out)
{
    const uint8_t *key;

    if (!take_number(rest, &content_out->segment, 8) ||
        !take_number(rest, &content_out->offset, 8) ||
        !take_number(rest, &content_out->sealed_bytes, 8) ||
        !take_number(rest, &content_out->plain_bytes, 8))
        return false;
    key = take(rest, sizeof content_out->wrapped_key);
    if (key == NULL)
        return false;
    memcpy(content_out->wrapped_key, key, sizeof content_out->wrapped_key);
    return true;
}

static bool take_flag(struct slice *rest, bool *flag_out)
{
    uint64_t value;

    if (!take_number(rest, &value, 1) || value > 1)
        return false;
    *flag_out = value == 1;
    return true;
}

static bool take_requirement(struct slice *rest, struct tls_requirement *requirement_out)
{
    uint64_t least, after;

    if (!take_number(rest, &least, 1) || least >= PROOF_COUNT ||
        !take_flag(rest, &requirement_out->tls_1_3_only) ||
        !take_flag(rest, &requirement_out->cleartext_allowed) ||
        !take_number(rest, &after, 4) || !take_flag(rest, &requirement_out->requiretls) ||
        !take_flag(rest, &requirement_out->requiretls_relaxed) ||
        !take_flag(rest, &requirement_out->mx_proved) ||
        !take_flag(rest, &requirement_out->tls_not_required))
        return false;
    requirement_out->least = (enum proof_level)least;
    requirement_out->cleartext_after_ms = (uint32_t)after;
    return true;
}

static bool take_field(struct slice *rest, const struct field *field, uint8_t *message)
{
    void *at = message + field->offset;
    uint64_t value;
    const uint8_t *bytes;

    switch (field->kind) {
    case FIELD_NUMBER:
    case FIELD_SIGNED:
        if (!take_number(rest, &value, 8))
            return false;
        memcpy(at, &value, sizeof value);
        return true;
    case FIELD_FLAG:
        return take_flag(rest, at);
    case FIELD_BYTES:
        if (!take_number(rest, &value, 4))
            return false;
        bytes = take(rest, value);
        *(struct slice *)at = slice_of(bytes, value);
        return bytes != NULL;
    case FIELD_SECRET:
        bytes = take(rest, sizeof(struct secret));
        if (bytes != NULL)
            memcpy(at, bytes, sizeof(struct secret));
        return bytes != NULL;
    case FIELD_CONTENT:
        return take_content(rest, at);
    case FIELD_REQUIREMENT:
        return take_requirement(rest, at);
    }
    return false;
}

static bool take_fields(struct slice *rest, enum ipc_type type, void *message)
{
    memset(message, 0, types[type].size);
    for (size_t i = 0; i < types[type].field_count; i++)
        if (!take_field(rest, &types[type].fields[i], message))
            return false;
    return true;
}

enum progress ipc_unpack(struct slice bytes, enum ipc_type *type_out,
                         union ipc_any *message_out, size_t *frame_len_out, struct err *err)
{
    struct slice body;
    uint64_t len, type;

    if (bytes.len < IPC_FRAME_HEAD_BYTES)
        return PROGRESS_WAIT;
    len = number_get_little(bytes.at, 4);
    type = number_get_little(bytes.at + 4, 2);
    if (len > IPC_FRAME_MAX_BYTES || type == IPC_NONE || type >= IPC_COUNT) {
        FAIL(err, ERR_PEER, "frame of type %u with %u bytes", (unsigned)type, (unsigned)len);
        return PROGRESS_FAIL;
    }
    if (bytes.len - IPC_FRAME_HEAD_BYTES < len)
        return PROGRESS_WAIT;
    body = slice_of(bytes.at + IPC_FRAME_HEAD_BYTES, len);
    *type_out = (enum ipc_type)type;
    if (!take_fields(&body, *type_out, message_out) || body.len != 0) {
        FAIL(err, ERR_PEER, "malformed %s message", types[type].name_cstr);
        return PROGRESS_FAIL;
    }
    *frame_len_out = IPC_FRAME_HEAD_BYTES + len;
    return PROGRESS_DONE;
}

bool ipc_list_append(struct buffer *list, enum ipc_type type, const void *item)
{
    size_t before = buffer_len(list);

    if (append_fields(list, type, item))
        return true;
    buffer_truncate(list, before);
    return false;
}

enum progress ipc_list_next(struct slice *rest, enum ipc_type type, void *item_out)
{
    if (rest->len == 0)
        return PROGRESS_WAIT;
    return take_fields(rest, type, item_out) ? PROGRESS_DONE : PROGRESS_FAIL;
}

const char *ipc_type_name(enum ipc_type type)
{
    return type > IPC_NONE && type < IPC_COUNT ? types[type].name_cstr : "?";
}
