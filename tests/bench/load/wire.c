/* Connections: TCP or TLS below, frames above; see load.h. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SCRATCH = 1 << 20, MOST = 1 << 16 };

static int poller_fd;
static uint8_t *scratch;
static struct sockaddr_in server;
static SSL_CTX *tls_context;
static Conn *dirty[MOST];
static int dirty_count;

/* Blobs and frames. */

void append(Blob *blob, const void *bytes, size_t size) {
    if (blob->size + size > blob->room) {
        blob->room = (blob->size + size) * 2 + 256;
        blob->bytes = realloc(blob->bytes, blob->room);
    }
    memcpy(blob->bytes + blob->size, bytes, size);
    blob->size += size;
}

Blob text_blob(const char *text) {
    Blob blob = {0};
    append(&blob, text, strlen(text));
    return blob;
}

static uint32_t next_key(void) {
    static uint32_t x = 0x12345678;
    x ^= x << 13;
    x ^= x >> 17;
    return x ^= x << 5;
}

Blob frame(int first, const void *payload, size_t size) {
    uint8_t head[14] = {(uint8_t)(0x80 | first)}, *masked = malloc(size + 1);
    size_t length = 2;
    uint32_t key = next_key();
    if (size < 126) {
        head[1] = (uint8_t)(0x80 | size);
    } else {
        int bytes = size < 65536 ? 2 : 8;
        head[1] = (uint8_t)(0x80 | (bytes == 2 ? 126 : 127));
        for (int i = bytes; i--;) head[length++] = (uint8_t)((uint64_t)size >> (8 * i));
    }
    memcpy(head + length, &key, 4);
    for (size_t i = 0; i < size; i++)
        masked[i] = ((const uint8_t *)payload)[i] ^ head[length + (i & 3)];
    Blob blob = {0};
    append(&blob, head, length + 4);
    append(&blob, masked, size);
    free(masked);
    return blob;
}

Blob deflated_frame(const void *payload, size_t size) {
    z_stream z = {0};
    uint8_t *out = malloc(size + 1024);
    deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    z.next_in = (Bytef *)payload;
    z.avail_in = (uInt)size;
    z.next_out = out;
    z.avail_out = (uInt)(size + 1024);
    deflate(&z, Z_SYNC_FLUSH);
    Blob blob = frame(0x41, out, size + 1024 - z.avail_out - 4); /* RSV1, text, without 00 00 ff ff */
    deflateEnd(&z);
    free(out);
    return blob;
}

int inflate_message(Conn *c, const uint8_t *bytes, size_t size, Blob *into) {
    static const uint8_t TAIL[4] = {0, 0, 0xff, 0xff};
    static uint8_t out[65536];
    if (!c->inflater) {
        c->inflater = calloc(1, sizeof *c->inflater);
        inflateInit2(c->inflater, -15);
    }
    z_stream *z = c->inflater;
    into->size = 0;
    for (int part = 0; part < 2; part++) {
        z->next_in = (Bytef *)(part ? TAIL : bytes);
        z->avail_in = (uInt)(part ? 4 : size);
        do {
            z->next_out = out;
            z->avail_out = sizeof out;
            int code = inflate(z, Z_SYNC_FLUSH);
            if (code != Z_OK && code != Z_BUF_ERROR) return 0;
            append(into, out, sizeof out - z->avail_out);
        } while (z->avail_in || !z->avail_out);
    }
    return 1;
}

/* Opening and closing. */

void wire_start(void) {
    scratch = malloc(SCRATCH);
    poller_fd = epoll_create1(EPOLL_CLOEXEC);
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)options.port);
    inet_pton(AF_INET, options.address, &server.sin_addr);
    if (options.tls) tls_context = SSL_CTX_new(TLS_client_method());
}

static void listen_for(Conn *c, int operation, int writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0)};
    event.data.u64 = (uint64_t)c->generation << 32 | (uint32_t)c->index;
    epoll_ctl(poller_fd, operation, c->fd, &event);
    c->writing = writing;
}

void wire_open(Conn *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        fail("no more sockets: raise the limit of open files");
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->generation++;
    c->in.size = c->out.size = c->sent = c->message.size = 0;
    c->announced = -1;
    c->opened = clock_ns();
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) {
        fail("cannot connect");
        return;
    }
    c->state = DIALING;
    opening++;
    if (options.tls) {
        c->tls = SSL_new(tls_context);
        SSL_set_fd(c->tls, c->fd);
        SSL_set_connect_state(c->tls);
    }
    listen_for(c, EPOLL_CTL_ADD, 1);
}

void wire_close(Conn *c) {
    if (c->tls) SSL_free(c->tls);
    c->tls = NULL;
    if (c->inflater) inflateReset(c->inflater);
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    if (c->state != FREE && c->state != READY) opening--;
    c->state = FREE;
    c->generation++;
}

/* Sending. */

void wire_put(Conn *c, const void *bytes, size_t size) {
    append(&c->out, bytes, size);
    if (c->dirty) return;
    c->dirty = 1;
    dirty[dirty_count++ % MOST] = c;
}

static ssize_t send_some(Conn *c, const uint8_t *bytes, size_t size) {
    if (!c->tls) return send(c->fd, bytes, size, MSG_NOSIGNAL);
    int sent = SSL_write(c->tls, bytes, (int)size);
    if (sent > 0) return sent;
    errno = SSL_get_error(c->tls, sent) == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
    return -1;
}

static void flush(Conn *c) {
    c->dirty = 0;
    if (c->fd < 0 || c->state == DIALING || c->state == SHAKING) return;
    while (c->sent < c->out.size) {
        ssize_t n = send_some(c, c->out.bytes + c->sent, c->out.size - c->sent);
        if (n < 0) {
            if (errno == EAGAIN && !c->writing) listen_for(c, EPOLL_CTL_MOD, 1);
            return; /* an error is seen when it is read from */
        }
        c->sent += (size_t)n;
    }
    c->out.size = c->sent = 0;
    if (c->writing) listen_for(c, EPOLL_CTL_MOD, 0);
}

void wire_flush_all(void) {
    for (int i = 0; i < dirty_count; i++) flush(dirty[i]);
    dirty_count = 0;
}

/* Receiving. */

static void lost(Conn *c) {
    if (c->http) poll_lost(c);
    else talk_lost(c);
}

static ssize_t receive_some(Conn *c) {
    if (!c->tls) return recv(c->fd, scratch, SCRATCH, 0);
    int n = SSL_read(c->tls, scratch, SCRATCH);
    if (n > 0) return n;
    int error = SSL_get_error(c->tls, n);
    errno = error == SSL_ERROR_WANT_READ ? EAGAIN : EPIPE;
    return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static void take(Conn *c, const uint8_t *bytes, size_t size) {
    uint32_t generation = c->generation;
    int whole = c->in.size == 0;
    if (!whole) {
        append(&c->in, bytes, size);
        bytes = c->in.bytes;
        size = c->in.size;
    }
    size_t used = c->http ? poll_bytes(c, bytes, size) : talk_bytes(c, bytes, size);
    if (c->generation != generation) return;
    if (whole) {
        append(&c->in, bytes + used, size - used);
    } else {
        memmove(c->in.bytes, bytes + used, size - used);
        c->in.size = size - used;
    }
}

static void readable(Conn *c) {
    do {
        uint32_t generation = c->generation;
        ssize_t n = receive_some(c);
        if (n < 0 && errno == EAGAIN) return;
        now = clock_ns();
        if (n <= 0) {
            lost(c);
            return;
        }
        take(c, scratch, (size_t)n);
        if (c->generation != generation) return;
    } while (c->tls && !finishing);
}

static void shake(Conn *c) {
    int code = SSL_do_handshake(c->tls), error = code == 1 ? 0 : SSL_get_error(c->tls, code);
    if (code == 1) {
        talk_connected(c);
        flush(c);
    } else if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        int writing = error == SSL_ERROR_WANT_WRITE;
        if (c->writing != writing) listen_for(c, EPOLL_CTL_MOD, writing);
    } else {
        fail("the TLS handshake failed");
    }
}

static void connected(Conn *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        lost(c);
    } else if (c->tls) {
        c->state = SHAKING;
        shake(c);
    } else {
        talk_connected(c);
        flush(c);
    }
}

void wire_wait(int milliseconds) {
    static struct epoll_event events[1024];
    int count = epoll_wait(poller_fd, events, 1024, milliseconds);
    for (int i = 0; i < count && !finishing; i++) {
        Conn *c = &conns[(uint32_t)events[i].data.u64];
        if (c->generation != events[i].data.u64 >> 32 || c->fd < 0) continue;
        if (c->state == DIALING) connected(c);
        else if (c->state == SHAKING) shake(c);
        else if (events[i].events & ~(uint32_t)EPOLLOUT) readable(c);
        else flush(c);
        wire_flush_all();
    }
    wire_flush_all();
}
