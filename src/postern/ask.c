/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/ask.h"

#include "postern/commands.h"
#include "settings/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ONCE_LIMIT_S = 5 };

bool ask_find_socket(const char *settings_path_cstr, const char *socket_cstr,
                     char path_out[ASK_PATH_SIZE])
{
    struct settings *settings = NULL;
    struct err err = {0};
    bool found;

    if (socket_cstr != NULL)
        return slice_to_cstr(slice_from_cstr(socket_cstr), path_out, ASK_PATH_SIZE);
    if (!settings_read(settings_path_cstr, &settings, &err)) {
        (void)fprintf(stderr, "postern: %s\n", err.text_cstr);
        return false;
    }
    found =
        slice_to_cstr(slice_from_cstr(settings->control_path_cstr), path_out, ASK_PATH_SIZE);
    settings_unref(&settings);
    return found;
}

/* -1, and errno, when nobody answers there. */
static int open_socket(const char *path_cstr)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int problem;

    if (slice_to_cstr(slice_from_cstr(path_cstr), address.sun_path, sizeof address.sun_path) &&
        fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    problem = errno;
    if (fd >= 0)
        close(fd);
    errno = problem;
    return -1;
}

/* -1 when nobody answers there; it was said. */
static int connect_to(const char *path_cstr)
{
    int fd = open_socket(path_cstr), problem = errno;

    if (fd < 0)
        (void)fprintf(stderr, "postern: cannot reach the server at %s: %s%s\n", path_cstr,
                      strerror(problem),
                      problem == EACCES ? "; ask as root or as the server's user"
                                        : "; is it running?");
    return fd;
}

json_t *ask_once(const char *socket_path_cstr, const char *request_cstr, struct err *err)
{
    static const struct timeval limit = {ONCE_LIMIT_S, 0};
    int fd = open_socket(socket_path_cstr);
    char *line_cstr = NULL;
    json_t *answer = NULL;
    FILE *stream;
    size_t size = 0;

    if (fd < 0) {
        (void)FAIL(err, ERR_TEMP, "cannot reach the server at %s: %s", socket_path_cstr,
                   strerror(errno));
        return NULL;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    stream = fdopen(fd, "r+");
    must(stream != NULL);
    if (fprintf(stream, "%s\n", request_cstr) < 0 || fflush(stream) != 0 ||
        getline(&line_cstr, &size, stream) <= 0)
        (void)FAIL(err, ERR_TEMP, "the server does not answer");
    else if ((answer = json_loads(line_cstr, 0, NULL)) == NULL ||
             json_object_get(answer, "error") != NULL)
        (void)FAIL(err, ERR_PEER, "the server says: %.200s", line_cstr);
    if (answer != NULL && json_object_get(answer, "error") != NULL) {
        json_decref(answer);
        answer = NULL;
    }
    free(line_cstr);
    (void)fclose(stream);
    return answer;
}

/* The lines into an array. False: an error came, or nonsense; it was said. */
static bool read_lines(FILE *stream, json_t *lines)
{
    char *line_cstr = NULL;
    size_t size = 0;
    bool good = true;

    while (good && getline(&line_cstr, &size, stream) > 0) {
        json_t *object = json_loads(line_cstr, 0, NULL);
        const char *error_cstr = json_string_value(json_object_get(object, "error"));

        if (object == NULL)
            (void)fputs("postern: the server's answer is broken\n", stderr);
        else if (error_cstr != NULL)
            (void)fprintf(stderr, "postern: %s\n", error_cstr);
        good = object != NULL && error_cstr == NULL && json_array_append(lines, object) == 0;
        json_decref(object);
    }
    free(line_cstr);
    return good;
}

json_t *ask_server(const char *settings_path_cstr, const char *socket_cstr, json_t *request,
                   int *code_out)
{
    char path_cstr[ASK_PATH_SIZE];
    json_t *lines = json_array();
    FILE *stream = NULL;
    bool good = false;
    int fd;

    *code_out = EXIT_NO_SERVER;
    if (!ask_find_socket(settings_path_cstr, socket_cstr, path_cstr)) {
        *code_out = EXIT_FAILURE;
        goto done;
    }
    fd = connect_to(path_cstr);
    if (fd < 0)
        goto done;
    stream = fdopen(fd, "r+");
    must(stream != NULL && lines != NULL);
    if (json_dumpf(request, stream, JSON_COMPACT) == 0 && fputc('\n', stream) != EOF &&
        fflush(stream) == 0) {
        *code_out = EXIT_FAILURE;
        good = read_lines(stream, lines);
    }
done:
    if (stream != NULL)
        (void)fclose(stream);
    json_decref(request);
    if (!good) {
        json_decref(lines);
        return NULL;
    }
    *code_out = EXIT_SUCCESS;
    return lines;
}
