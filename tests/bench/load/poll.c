/* What is said over HTTP: plain requests, and Engine.IO's long-polling on two connections. */
#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static Blob plain, first_poll, question, answer;
static Poller *pollers;

static void send_request(Conn *c, const Blob *request) {
    if (c->fd < 0) wire_open(c);
    if (c->fd >= 0) wire_put(c, request->bytes, request->size);
}

void poll_prepare(void) {
    char text[2048];
    int many = options.mode == POLLING ? 2 : 1;
    conn_count = many * options.clients;
    conns = calloc((size_t)conn_count, sizeof *conns);
    pollers = calloc((size_t)options.clients, sizeof *pollers);
    uint64_t *times = calloc((size_t)conn_count, sizeof *times);
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: %s:%d\r\nAccept: */*\r\n\r\n",
             options.path, options.address, options.port);
    plain = text_blob(text);
    snprintf(text, sizeof text,
             "GET %s?EIO=4&transport=polling HTTP/1.1\r\nHost: %s:%d\r\nAccept: */*\r\n\r\n",
             options.engine, options.address, options.port);
    first_poll = text_blob(text);
    char *letters = calloc(1, (size_t)options.size + 1);
    for (long i = 0; i < options.size; i++) letters[i] = (char)('a' + i % 26);
    char *said;
    if (asprintf(&said, "421000[\"echo\",\"%s\"]", letters) < 0) abort();
    question = text_blob(said);
    if (asprintf(&said, "431000[\"%s\"]", letters) < 0) abort();
    answer = text_blob(said);
    for (int i = 0; i < conn_count; i++)
        conns[i] = (Conn){.fd = -1, .index = i, .http = 1, .asked = times + i};
    for (int i = 0; i < options.clients && many == 2; i++) {
        Poller *p = &pollers[i];
        p->get = &conns[2 * i];
        p->post = &conns[2 * i + 1];
        p->get->poller = p->post->poller = p;
        send_request(p->get, &first_poll);
    }
    if (many == 1) ready_count = options.clients;
}

/* Long-polling. */

static void post(Poller *p, const void *body, size_t size) {
    char length[32];
    Blob request = {0};
    snprintf(length, sizeof length, "%zu\r\n\r\n", size);
    append(&request, p->post_head.bytes, p->post_head.size);
    append(&request, length, strlen(length));
    append(&request, body, size);
    p->posting = 1;
    send_request(p->post, &request);
    free(request.bytes);
}

static void go_on(Poller *p) {
    if (p->posting || !p->id[0]) return;
    if (p->pong) {
        p->pong = 0;
        ping_count++;
        post(p, "3", 1);
    } else if (started && !p->waiting && !finishing) {
        p->waiting = 1;
        p->since = clock_ns();
        post(p, question.bytes, question.size);
    }
}

static void opened(Poller *p, const uint8_t *body, size_t size) {
    char text[1024];
    const uint8_t *found = memmem(body, size, "\"sid\":", 6);
    if (!found) {
        fail("no session id");
        return;
    }
    const uint8_t *id = (const uint8_t *)memchr(found + 6, '"', 8) + 1;
    snprintf(p->id, sizeof p->id, "%.*s", (int)((const uint8_t *)memchr(id, '"', 90) - id), id);
    snprintf(text, sizeof text,
             "GET %s?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: %s:%d\r\nAccept: */*\r\n\r\n",
             options.engine, p->id, options.address, options.port);
    p->get_head = text_blob(text);
    snprintf(text, sizeof text,
             "POST %s?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: %s:%d\r\nAccept: */*\r\n"
             "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: ",
             options.engine, p->id, options.address, options.port);
    p->post_head = text_blob(text);
    snprintf(text, sizeof text, "40%s%s", options.space, options.space[0] ? "," : "");
    post(p, text, strlen(text));
}

static void take_packet(Poller *p, const uint8_t *text, size_t size) {
    if (size && text[0] == '2') {
        p->pong = 1;
    } else if (size > 1 && text[0] == '4' && text[1] == '0') {
        ready_count += !p->joined;
        p->joined = 1;
    } else if (size > 1 && text[0] == '4' && text[1] == '3' && p->waiting) {
        if (size != answer.size || memcmp(text, answer.bytes, size)) different_count++;
        p->waiting = 0;
        done(now - p->since, size);
    } else if (!(size && text[0] == '6')) {
        mistake(p->get, "an unexpected packet", text, size);
    }
}

static void take_payload(Poller *p, const uint8_t *body, size_t size) {
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(body + at, 0x1e, size - at);
        size_t until = end ? (size_t)(end - body) : size;
        take_packet(p, body + at, until - at);
        at = until + 1;
    }
}

static void take_answer(Conn *c, int status, const uint8_t *body, size_t size) {
    Poller *p = c->poller;
    if (status != 200) {
        mistake(c, "another status was expected", body, size);
        if (p) fail("a request was refused");
    }
    if (!p) {
        done(now - c->asked[0], size);
        c->asked[0] = now;
        if (!finishing) send_request(c, &plain);
    } else if (c == p->post) {
        p->posting = 0;
        go_on(p);
    } else {
        if (!p->id[0]) opened(p, body, size);
        else take_payload(p, body, size);
        go_on(p);
        if (!finishing) send_request(p->get, &p->get_head);
    }
}

void poll_begin(void) {
    now = clock_ns();
    for (int i = 0; i < options.clients; i++) {
        if (options.mode == POLLING) {
            go_on(&pollers[i]);
        } else {
            conns[i].asked[0] = now;
            send_request(&conns[i], &plain);
        }
    }
}

void poll_lost(Conn *c) {
    int told = !finishing && c->out.size + c->in.size > 0;
    wire_close(c);
    c->dirty = 0;
    if (told) fail("the server closed a connection in use");
}

/* Answers, from their bytes. */

static const uint8_t *field(const uint8_t *head, size_t size, const char *name) {
    size_t length = strlen(name);
    for (const uint8_t *line = head; (line = memmem(line, size - (size_t)(line - head), "\r\n", 2));) {
        line += 2;
        if ((size_t)(line - head) + length < size && !strncasecmp((const char *)line, name, length))
            return line + length;
    }
    return NULL;
}

/* Join chunks in `body`; return how long they are with their framing, or 0 if one is missing. */
static size_t take_chunks(const uint8_t *bytes, size_t size, Blob *body) {
    size_t at = 0;
    body->size = 0;
    for (;;) {
        const uint8_t *end = memmem(bytes + at, size - at, "\r\n", 2);
        if (!end) return 0;
        size_t length = strtoul((const char *)bytes + at, NULL, 16), start = (size_t)(end - bytes) + 2;
        if (size < start + length + 2) return 0;
        append(body, bytes + start, length);
        at = start + length + 2;
        if (!length) return at;
    }
}

static size_t take_one(Conn *c, const uint8_t *bytes, size_t size) {
    static Blob joined;
    const uint8_t *end = memmem(bytes, size, "\r\n\r\n", 4), *value;
    if (!end) return 0;
    size_t head = (size_t)(end - bytes) + 4, length = 0, used;
    int status = atoi((const char *)bytes + 9), ends;
    const uint8_t *body = bytes + head;
    if ((value = field(bytes, head, "content-length:"))) {
        length = strtoul((const char *)value, NULL, 10);
        if (size - head < length) return 0;
        used = head + length;
    } else if (field(bytes, head, "transfer-encoding:")) {
        used = take_chunks(body, size - head, &joined);
        if (!used) return 0;
        body = joined.bytes;
        length = joined.size;
        used += head;
    } else {
        mistake(c, "an answer without a length", bytes, size);
        fail("an answer without a length");
        return size;
    }
    value = field(bytes, head, "connection:");
    ends = value && memmem(value, (size_t)(bytes + head - value), "lose", 4) != NULL;
    if (ends) {
        reconnect_count++;
        wire_close(c);
    }
    take_answer(c, status, body, length);
    return used;
}

size_t poll_bytes(Conn *c, const uint8_t *bytes, size_t size) {
    uint32_t generation = c->generation;
    size_t used = 0, one;
    while (used < size && (one = take_one(c, bytes + used, size - used))) {
        used += one;
        if (c->generation != generation) break;
    }
    return used;
}
