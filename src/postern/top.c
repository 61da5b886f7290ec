/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `postern top`: asks once a second and shows it. The terminal's mode is changed in one place and put back in
 * one place, which every way out passes: q, signals, a server that is gone, a write that fails.
 */
#include "base/must.h"
#include "postern/ask.h"
#include "postern/commands.h"
#include "postern/screen.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
    REFRESH_MS = 1000,
    HISTORY = 10, /* figures are of the last ten seconds: single seconds jump about */
    SCREEN_MAX_BYTES = 1 << 20,
    WIDTH_USUAL = 80,
    HEIGHT_USUAL = 24,
    HEIGHT_PRINTED = 200,
    CONTROL_C = 3,
};

static const char request_cstr[] = "{\"do\":\"stats\"}";

struct top {
    const char *path_cstr,
        *socket_cstr; /* the settings file; the socket, NULL = as that says */
    bool is_once, is_json;
    char found_cstr[ASK_PATH_SIZE]; /* the socket */
    json_t *history[HISTORY];       /* the newest first */
    char problem_cstr[256];         /* "" = the last answer came */
};

/* ---- the terminal ---- */

static struct termios mode_before;
static volatile sig_atomic_t is_over, is_resized;

static void on_end_signal(int number)
{
    (void)number;
    is_over = 1;
}

static void on_resize_signal(int number)
{
    (void)number;
    is_resized = 1;
}

static void say(const char *text_cstr)
{
    size_t len = strlen(text_cstr);

    if (write(STDOUT_FILENO, text_cstr, len) != (ssize_t)len)
        is_over = 1;
}

static bool terminal_take(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    struct sigaction action = {.sa_handler = on_end_signal};
    struct termios mode;

    if (tcgetattr(STDIN_FILENO, &mode_before) != 0)
        return false;
    for (size_t i = 0; i < COUNT_OF(ends); i++)
        (void)sigaction(ends[i], &action, NULL);
    action.sa_handler = on_resize_signal;
    (void)sigaction(SIGWINCH, &action, NULL);
    mode = mode_before;
    mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    mode.c_cc[VMIN] = 0;
    mode.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &mode) != 0)
        return false;
    say("\x1b[?1049h\x1b[?25l\x1b[2J"); /* its own screen, no cursor */
    return true;
}

static void terminal_give_back(void)
{
    say("\x1b[0m\x1b[?25h\x1b[?1049l");
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &mode_before);
}

static void measure_terminal(struct screen *screen)
{
    struct winsize size = {0};

    screen->width = WIDTH_USUAL;
    screen->height = HEIGHT_USUAL;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        screen->width = size.ws_col;
        screen->height = size.ws_row;
    }
}

/* ---- answers ---- */

static bool take_answer(struct top *top)
{
    struct err err = {0};
    json_t *answer = ask_once(top->found_cstr, request_cstr, &err);

    (void)snprintf(top->problem_cstr, sizeof top->problem_cstr, "%s",
                   answer == NULL ? err.text_cstr : "");
    if (answer == NULL)
        return false;
    json_decref(top->history[HISTORY - 1]);
    memmove(top->history + 1, top->history, (HISTORY - 1) * sizeof(json_t *));
    top->history[0] = answer;
    return true;
}

static const json_t *oldest(const struct top *top)
{
    const json_t *found = NULL;

    for (size_t i = 1; i < HISTORY && top->history[i] != NULL; i++) {
        /* Another start counts from 0 again. */
        if (json_equal(json_object_get(top->history[i], "started_ms"),
                       json_object_get(top->history[0], "started_ms")))
            found = top->history[i];
    }
    return found;
}

static bool draw(struct top *top, struct screen *screen)
{
    struct buffer out;
    struct slice text;
    bool is_drawn;

    screen->now = top->history[0];
    screen->before = oldest(top);
    screen->problem_cstr = top->problem_cstr[0] == 0 ? NULL : top->problem_cstr;
    buffer_init(&out, SCREEN_MAX_BYTES);
    is_drawn = screen_draw(screen, &out);
    for (text = buffer_view(&out); is_drawn && text.len > 0;) {
        ssize_t wrote = write(STDOUT_FILENO, text.at, text.len);

        if (wrote < 0 && errno == EINTR)
            continue;
        is_drawn = wrote > 0;
        text = is_drawn ? slice_from(text, (size_t)wrote) : text;
    }
    buffer_deinit(&out);
    return is_drawn;
}

/* ---- the loop ---- */

static int64_t now_ms(void)
{
    struct timespec now;

    must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Wait for a key, a signal or the time. */
static void wait_until(int64_t until_ms)
{
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    int64_t left_ms = until_ms - now_ms();
    char bytes[64];
    ssize_t got;

    if (left_ms <= 0 || poll(&keys, 1, (int)left_ms) <= 0)
        return;
    got = read(STDIN_FILENO, bytes, sizeof bytes);
    if (got <= 0)
        is_over = 1; /* the terminal is gone */
    for (ssize_t i = 0; i < got; i++)
        if (bytes[i] == 'q' || bytes[i] == 'Q' || bytes[i] == CONTROL_C)
            is_over = 1;
}

static int show(struct top *top)
{
    struct screen screen = {.is_terminal = true};
    int64_t next_ms = now_ms();

    if (!terminal_take())
        return usage_error("top", "this is no terminal; there is --once");
    while (!is_over) {
        if (now_ms() >= next_ms) {
            (void)take_answer(top);
            next_ms = now_ms() + REFRESH_MS;
        }
        if (is_resized)
            say("\x1b[2J");
        is_resized = 0;
        measure_terminal(&screen);
        if (!draw(top, &screen))
            break;
        while (!is_over && !is_resized && now_ms() < next_ms)
            wait_until(next_ms);
    }
    terminal_give_back();
    return EXIT_SUCCESS;
}

/* Once, for eyes or for programs. */
static int print_once(struct top *top)
{
    struct screen screen = {.width = WIDTH_USUAL, .height = HEIGHT_PRINTED};

    if (!take_answer(top)) {
        (void)fprintf(stderr, "postern: %s\n", top->problem_cstr);
        return EXIT_NO_SERVER;
    }
    if (top->is_json) {
        (void)json_dumpf(top->history[0], stdout, JSON_INDENT(2));
        (void)putchar('\n');
        return EXIT_SUCCESS;
    }
    (void)usleep(REFRESH_MS * 1000);
    (void)take_answer(top);
    return draw(top, &screen) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool take_arguments(int argc, char **argv, struct top *top, int *code_out)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"socket", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},         {"once", no_argument, NULL, 'o'},
        {"json", no_argument, NULL, 'j'},         {0}};
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:s:h", options, NULL)) != -1) {
        if (option == 'c') {
            top->path_cstr = optarg;
        } else if (option == 's') {
            top->socket_cstr = optarg;
        } else if (option == 'o') {
            top->is_once = true;
        } else if (option == 'j') {
            top->is_json = true;
        } else if (option == 'h') {
            (void)fputs(
                "usage: postern top [--once [--json]]\n\n"
                "Shows rates, queue, latencies, roles and busy domains, every second. q "
                "ends it.\n\n"
                "  --once        print it once and end\n"
                "  --json        with --once: all figures, as the server gives them\n"
                "  -c FILE       settings, to find the server; default " DEFAULT_SETTINGS_PATH
                "\n"
                "  -s SOCKET     the server's control socket itself\n",
                stdout);
            *code_out = EXIT_SUCCESS;
            return false;
        } else {
            *code_out = usage_error("top", "unknown option");
            return false;
        }
    }
    if (optind < argc || (top->is_json && !top->is_once))
        *code_out = usage_error("top", optind < argc ? "it takes no arguments"
                                                     : "--json goes with --once");
    return optind >= argc && (!top->is_json || top->is_once);
}

int command_top(int argc, char **argv)
{
    struct top top = {.path_cstr = DEFAULT_SETTINGS_PATH};
    int code = EXIT_FAILURE;

    if (!take_arguments(argc, argv, &top, &code) ||
        !ask_find_socket(top.path_cstr, top.socket_cstr, top.found_cstr))
        return code;
    code = top.is_once ? print_once(&top) : show(&top);
    for (size_t i = 0; i < HISTORY; i++)
        json_decref(top.history[i]);
    return code;
}
