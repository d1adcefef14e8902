/* A load generator for Socket.IO servers: one thread, one epoll, one JSON line for each run.
 *
 *     cc -O2 -o load load.c wire.c talk.c mix.c poll.c -lssl -lcrypto -lz
 *     load MODE [options]
 *
 * It costs less than any server that it measures, and checks every answer.  The modes, and what
 * one operation is:
 *
 *     echo     an event with an acknowledgement that brings its arguments back
 *     say      an event that is answered by an event (-a), in order, without acknowledgement
 *     ask      an event of the server that the client acknowledges; the server then sends the next
 *     fanout   one delivery of a broadcast that a client asked for
 *     connect  a new connection until it is in its namespace, and its end
 *     idle     nothing; the connections stay for -H seconds after the line {"event":"up"}
 *     binary   echo with one attachment
 *     polling  echo over HTTP long-polling: a POST, and the poll that brings the answer
 *     http     a plain GET (-u)
 *     note     an event without acknowledgement; one of -d in a row is an echo, so that the client
 *              knows how far the server is
 *     mix      a message of the client, of a fixed mixture: see mix.c
 *
 * Options: -A address  -p port  -c connections  -d events in flight on each  -s bytes of payload
 * -t seconds measured  -w seconds before that  -W broadcasts in flight  -k connections that open at
 * once  -H hold (idle)  -T patience for the set-up  -u path (http)  -e path of Engine.IO
 * -n namespace  -E event  -a event of the answer  -m arguments as JSON, instead of -s bytes
 * -g how each acknowledgement begins (echo), where it does not bring the arguments back
 * -j moves: so many events "move" a second from one more connection  -S TLS  -z compression
 * -x process ids of the server, with commas: its CPU time in the measured window, from
 * /proc/PID/task/N/schedstat  -V the first wrong answer goes to stderr */
#define _GNU_SOURCE
#include "load.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char *MODES[] = {"echo", "say",    "ask",     "fanout", "connect",
                              "idle", "binary", "polling", "http",   "note",    "mix", NULL};

Options options = {.address = "127.0.0.1", .path = "/hello", .engine = "/socket.io/", .space = "",
                   .event = "echo", .answer = "said", .port = 3000, .clients = 1, .depth = 1,
                   .window = 4, .opening = 64, .size = 32, .seconds = 3, .warm = 1, .hold = 3,
                   .patience = 60};
Conn *conns;
int conn_count, started, measuring, finishing, opening, ready_count;
uint64_t now;
const char *failure;
uint64_t done_count, done_bytes, error_count, different_count, ping_count, lost_count;
uint64_t broadcast_count, reconnect_count;

/* Measuring: a histogram of 64 steps to each power of two, so that a percentile is 2 % right. */

enum { STEPS = 64 };
static uint64_t histogram[64 * STEPS], highest;

uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

void done(uint64_t latency, size_t bytes) {
    if (!measuring) return;
    done_count++;
    done_bytes += bytes;
    if (latency > highest) highest = latency;
    int power = latency < STEPS ? 0 : 58 - __builtin_clzll(latency);
    histogram[power * STEPS + (power ? (int)(latency >> (power - 1)) - STEPS : (int)latency) % STEPS]++;
}

static double percentile(double part) {
    uint64_t wanted = (uint64_t)(part * (double)done_count + 0.5), seen = 0;
    for (int i = 0; i < 64 * STEPS; i++) {
        seen += histogram[i];
        if (seen >= wanted && seen) {
            int power = i / STEPS, step = i % STEPS;
            return power ? (double)((uint64_t)(step + STEPS) << (power - 1)) : step;
        }
    }
    return (double)highest;
}

void fail(const char *why) {
    if (!failure) failure = why;
    finishing = 1;
}

void mistake(Conn *c, const char *why, const uint8_t *bytes, size_t size) {
    error_count++;
    if (!options.verbose) return;
    options.verbose = 0;
    fprintf(stderr, "connection %d: %s: %.*s\n", c->index, why, (int)(size > 300 ? 300 : size),
            bytes ? (const char *)bytes : "");
}

/* The server's CPU time, in seconds: of its threads, and of those that ended meanwhile. */

static double thread_seconds(const char *pid) {
    char name[512];
    double sum = 0;
    snprintf(name, sizeof name, "/proc/%s/task", pid);
    DIR *tasks = opendir(name);
    if (!tasks) return 0;
    for (struct dirent *task; (task = readdir(tasks));) {
        unsigned long long ns;
        if (task->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "/proc/%s/task/%s/schedstat", pid, task->d_name);
        FILE *file = fopen(name, "r");
        if (!file) continue;
        if (fscanf(file, "%llu", &ns) == 1) sum += (double)ns / 1e9;
        fclose(file);
    }
    closedir(tasks);
    return sum;
}

static double server_seconds(void) {
    char pids[256];
    double sum = 0;
    snprintf(pids, sizeof pids, "%s", options.pids ? options.pids : "");
    for (char *pid = strtok(pids, ","); pid; pid = strtok(NULL, ",")) sum += thread_seconds(pid);
    return sum;
}

static double own_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* The run. */

static int take_option(int letter, char *value) {
    switch (letter) {
    case 'A': options.address = value; break;
    case 'p': options.port = atoi(value); break;
    case 'c': options.clients = atoi(value); break;
    case 'd': options.depth = atoi(value); break;
    case 's': options.size = atol(value); break;
    case 't': options.seconds = atof(value); break;
    case 'w': options.warm = atof(value); break;
    case 'W': options.window = atoi(value); break;
    case 'k': options.opening = atoi(value); break;
    case 'H': options.hold = atof(value); break;
    case 'T': options.patience = atof(value); break;
    case 'u': options.path = value; break;
    case 'e': options.engine = value; break;
    case 'n': options.space = value; break;
    case 'E': options.event = value; break;
    case 'a': options.answer = value; break;
    case 'm': options.arguments = value; break;
    case 'g': options.begins = value; break;
    case 'j': options.moves = atoi(value); break;
    case 'S': options.tls = 1; break;
    case 'z': options.deflate = 1; break;
    case 'x': options.pids = value; break;
    case 'V': options.verbose = 1; break;
    default: return 0;
    }
    return 1;
}

static int take_options(int count, char **values) {
    int letter, mode = 0;
    if (count < 2) return 0;
    while (MODES[mode] && strcmp(MODES[mode], values[1])) mode++;
    if (!MODES[mode]) return 0;
    options.mode = (enum Mode)mode;
    optind = 2;
    while ((letter = getopt(count, values, "A:p:c:d:s:t:w:W:k:H:T:u:e:n:E:a:m:g:j:Szx:V")) != -1)
        if (!take_option(letter, optarg)) return 0;
    return 1;
}

static void begin(uint64_t opened) {
    started = 1;
    if (options.mode == IDLE) {
        printf("{\"event\":\"up\",\"connections\":%d,\"setup_s\":%.3f}\n", ready_count,
               (double)(clock_ns() - opened) / 1e9);
        fflush(stdout);
    } else if (options.mode == POLLING || options.mode == HTTP) {
        poll_begin();
    } else {
        talk_begin();
    }
    wire_flush_all();
}

typedef struct {
    double server, own;
    uint64_t time;
} Stand;

static Stand stand(void) { return (Stand){server_seconds(), own_seconds(), clock_ns()}; }

static void report(Stand from, Stand to, double setup) {
    double seconds = (double)(to.time - from.time) / 1e9, server = to.server - from.server;
    if (seconds <= 0) seconds = 1; /* it failed before there was anything to measure */
    double count = done_count ? (double)done_count : 1;
    int ok = !failure && (options.mode == IDLE || done_count);
    printf("{\"mode\":\"%s\",\"ok\":%s,\"seconds\":%.3f,\"count\":%llu,\"rate\":%.1f,",
           MODES[options.mode], ok ? "true" : "false", seconds, (unsigned long long)done_count,
           (double)done_count / seconds);
    printf("\"mb_s\":%.2f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,",
           (double)done_bytes / seconds / 1e6, percentile(.5) / 1e3, percentile(.99) / 1e3,
           percentile(.999) / 1e3, (double)highest / 1e3);
    printf("\"errors\":%llu,\"different\":%llu,\"lost\":%llu,\"pings\":%llu,\"broadcasts\":%llu,"
           "\"reconnects\":%llu,",
           (unsigned long long)error_count, (unsigned long long)different_count,
           (unsigned long long)lost_count, (unsigned long long)ping_count,
           (unsigned long long)broadcast_count, (unsigned long long)reconnect_count);
    printf("\"setup_s\":%.3f,\"client_cpu\":%.3f,\"server_s\":%.4f,\"us_op\":%.4f,\"fail\":%s%s%s}\n",
           setup, (to.own - from.own) / seconds, server, server * 1e6 / count, failure ? "\"" : "",
           failure ? failure : "null", failure ? "\"" : "");
}

int main(int count, char **values) {
    if (!take_options(count, values)) {
        fprintf(stderr, "usage: load MODE [options]; see the head of load.c\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    wire_start();
    int over_http = options.mode == POLLING || options.mode == HTTP;
    if (over_http) poll_prepare();
    else talk_prepare();
    uint64_t opened = clock_ns(), until = 0, measured = 0, moved = 0;
    Stand from = {0}, to;
    double setup = 0;
    if (!over_http) talk_open_more();
    wire_flush_all();
    while (!finishing) {
        uint64_t t = clock_ns();
        if (!started && (options.mode == CONNECT || ready_count >= (over_http ? options.clients : conn_count))) {
            setup = (double)(t - opened) / 1e9;
            begin(opened);
            measured = t + (uint64_t)((options.mode == IDLE ? 0 : options.warm) * 1e9);
            until = measured + (uint64_t)((options.mode == IDLE ? options.hold : options.seconds) * 1e9);
        } else if (!started && (double)(t - opened) / 1e9 > options.patience) {
            fail("the set-up took too long");
        }
        if (started && !measuring && t >= measured) {
            from = stand();
            measuring = 1;
        }
        if (started && t >= until) break;
        for (; started && options.moves && (double)(t - opened) / 1e9 * options.moves > (double)moved; moved++)
            talk_move();
        wire_wait(options.moves ? 1 : 20);
    }
    finishing = 1;
    to = stand();
    if (!measuring) from = to;
    if (options.mode == MIXTURE && !mix_whole()) fail("broadcasts did not arrive");
    report(from, to, setup);
    return failure ? 1 : 0;
}
