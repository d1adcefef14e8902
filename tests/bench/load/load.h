/* What the parts of the load generator share; load.c says what it is. */
#ifndef LOAD_H
#define LOAD_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

typedef struct {
    uint8_t *bytes;
    size_t size, room;
} Blob;

enum Mode { ECHO, SAY, ASK, FANOUT, CONNECT, IDLE, BINARY, POLLING, HTTP, NOTE, MIXTURE };

typedef enum { FREE, DIALING, SHAKING, UPGRADING, OPENING, JOINING, READY } State;

typedef struct Poller Poller;

typedef struct {
    int fd, index;
    State state;
    uint32_t generation; /* how often it was opened: late events of an old descriptor are known */
    int http;            /* speaks HTTP all along */
    int dirty, writing;  /* is to be flushed; waits until the kernel takes more */
    Blob in, out;        /* a message that is not whole; what was not sent */
    size_t sent;         /* of `out` */
    Blob message;        /* the fragments of a message */
    uint8_t first;       /* the first byte of its first frame */
    uint64_t opened, *asked; /* when it was opened; when each slot asked */
    uint32_t oldest;     /* the slot whose answer is next, where answers come in order */
    int announced;       /* the slot that a binary answer belongs to, or -1 */
    int step, silent;    /* of a schedule; how many before it have no answer */
    SSL *tls;
    z_stream *inflater;
    Poller *poller;
} Conn;

struct Poller {
    Conn *get, *post;
    char id[96];
    Blob get_head, post_head;
    int joined, posting, waiting, pong;
    uint64_t since;
};

typedef struct {
    enum Mode mode;
    const char *address, *path, *engine, *space, *event, *answer, *arguments, *begins, *pids;
    int port, clients, depth, window, opening, tls, deflate, moves, verbose;
    long size;
    double seconds, warm, hold, patience;
} Options;

extern Options options;
extern Conn *conns;
extern int conn_count, started, measuring, finishing, opening, ready_count;
extern uint64_t now;
extern const char *failure;
extern uint64_t done_count, done_bytes, error_count, different_count, ping_count, lost_count;
extern uint64_t broadcast_count, reconnect_count;

/* load.c */
uint64_t clock_ns(void);
void done(uint64_t latency, size_t bytes);
void fail(const char *why);
void mistake(Conn *c, const char *why, const uint8_t *bytes, size_t size);

/* wire.c: connections and what they carry */
void append(Blob *blob, const void *bytes, size_t size);
Blob text_blob(const char *text);
Blob frame(int opcode, const void *payload, size_t size);
Blob deflated_frame(const void *payload, size_t size);
int inflate_message(Conn *c, const uint8_t *bytes, size_t size, Blob *into);
void wire_start(void);
void wire_open(Conn *c);
void wire_close(Conn *c);
void wire_put(Conn *c, const void *bytes, size_t size);
void wire_flush_all(void);
void wire_wait(int milliseconds);

/* talk.c: what is said over a WebSocket */
void talk_prepare(void);
void talk_begin(void);
void talk_move(void);
void talk_open_more(void);
void talk_connected(Conn *c);
size_t talk_bytes(Conn *c, const uint8_t *bytes, size_t size);
void talk_lost(Conn *c);
char *text_argument(long size);
void compare(Conn *c, const Blob *wanted, const uint8_t *text, size_t size);

/* mix.c: schedules */
void mix_prepare(void);
void mix_begin(void);
const Blob *mix_join(Conn *c);
void mix_text(Conn *c, const uint8_t *text, size_t size);
void mix_binary(Conn *c, const uint8_t *bytes, size_t size);
int mix_whole(void);

/* poll.c: what is said over HTTP */
void poll_prepare(void);
void poll_begin(void);
size_t poll_bytes(Conn *c, const uint8_t *bytes, size_t size);
void poll_lost(Conn *c);

#endif
