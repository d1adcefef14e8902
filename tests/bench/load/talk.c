/* What is said over a WebSocket: the opening, and each mode's messages and their answers. */
#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ID = 1000, TEXT = 1, BINARY_FRAME = 2, CLOSE = 8, PING = 9, PONG = 10 };

static Blob upgrade, join, pong, payload, move;
static Blob *questions, *answers; /* of each slot: frames, and the text that has to come back */
static int *missing;              /* of each broadcast in flight: deliveries */
static uint64_t *asked;           /* and when it was asked for */
static int next_conn;

/* What is said. */

static char *space_prefix(void) {
    static char prefix[128];
    if (options.space[0]) snprintf(prefix, sizeof prefix, "%s,", options.space);
    return prefix;
}

char *text_argument(long size) {
    char *text = malloc((size_t)size + 3);
    text[0] = text[size + 1] = '"';
    for (long i = 0; i < size; i++) text[i + 1] = (char)('a' + i % 26);
    text[size + 2] = 0;
    return text;
}

static int scheduled(void) { return options.mode == NOTE || options.mode == MIXTURE; }

static Blob text_frame(const char *text) {
    return options.deflate ? deflated_frame(text, strlen(text)) : frame(TEXT, text, strlen(text));
}

static void prepare_slot(int slot, const char *arguments) {
    char *text, *answer = NULL, *space = space_prefix();
    int id = FIRST_ID + slot;
    if (options.mode == SAY) {
        if (asprintf(&text, "42%s[\"%s\",%s]", space, options.event, arguments) < 0) abort();
        if (asprintf(&answer, "42%s[\"%s\",%s]", space, options.answer, arguments) < 0) abort();
    } else if (options.mode == ASK) {
        if (asprintf(&text, "42%s[\"ask\",%s]", space, arguments) < 0) abort();
        if (asprintf(&answer, "[\"asked\",%s]", arguments) < 0) abort();
    } else if (options.mode == FANOUT) {
        if (asprintf(&text, "42%s[\"bcast\",\"%04d%s]", space, slot, arguments + 5) < 0) abort();
    } else if (options.mode == BINARY) {
        if (asprintf(&text, "451-%s%d[\"bin\",{\"_placeholder\":true,\"num\":0}]", space, id) < 0) abort();
    } else {
        if (asprintf(&text, "42%s%d[\"%s\",%s]", space, id, options.event, arguments) < 0) abort();
        const char *form = options.begins ? "43%s%d%s" : "43%s%d[%s]";
        const char *wanted = options.begins ? options.begins : arguments;
        if (asprintf(&answer, form, space, id, wanted) < 0) abort();
    }
    questions[slot] = text_frame(text);
    if (options.mode == BINARY) {
        Blob attachment = frame(BINARY_FRAME, payload.bytes, payload.size);
        append(&questions[slot], attachment.bytes, attachment.size);
    }
    if (answer) answers[slot] = text_blob(answer);
}

void talk_prepare(void) {
    char text[1024];
    const char *extension = options.deflate
        ? "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n" : "";
    snprintf(text, sizeof text,
             "GET %s?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
             "Sec-WebSocket-Version: 13\r\n%s\r\n",
             options.engine, options.address, options.port, extension);
    upgrade = text_blob(text);
    snprintf(text, sizeof text, "40%s", space_prefix());
    join = frame(TEXT, text, strlen(text));
    pong = frame(TEXT, "3", 1);
    snprintf(text, sizeof text, "42%s[\"move\"]", space_prefix());
    move = text_frame(text);
    int slots = options.mode == FANOUT ? options.window : options.depth;
    if (options.mode == CONNECT) options.clients = options.opening;
    conn_count = options.clients + (options.mode == FANOUT) + (options.moves > 0);
    conns = calloc((size_t)conn_count, sizeof *conns);
    uint64_t *times = calloc((size_t)conn_count * (size_t)slots, sizeof *times);
    for (int i = 0; i < conn_count; i++) {
        conns[i].fd = -1;
        conns[i].index = i;
        conns[i].asked = times + (size_t)i * (size_t)slots;
    }
    questions = calloc((size_t)slots, sizeof *questions);
    answers = calloc((size_t)slots, sizeof *answers);
    missing = calloc((size_t)slots, sizeof *missing);
    asked = calloc((size_t)slots, sizeof *asked);
    for (long i = 0; options.mode == BINARY && i < options.size; i++) {
        uint8_t byte = (uint8_t)(i * 167 + (i >> 8));
        append(&payload, &byte, 1);
    }
    if (scheduled()) {
        mix_prepare();
        return;
    }
    char *arguments = options.arguments ? strdup(options.arguments) : text_argument(options.size);
    for (int slot = 0; slot < slots; slot++) prepare_slot(slot, arguments);
}

static void ask(Conn *c, int slot) {
    c->asked[slot] = now;
    wire_put(c, questions[slot].bytes, questions[slot].size);
}

static void broadcast(int slot) {
    missing[slot] = options.clients;
    asked[slot] = now;
    wire_put(&conns[0], questions[slot].bytes, questions[slot].size);
}

void talk_begin(void) {
    now = clock_ns();
    if (options.mode == FANOUT) {
        for (int slot = 0; slot < options.window; slot++) broadcast(slot);
    } else if (options.mode == CONNECT) {
        return;
    } else if (scheduled()) {
        mix_begin();
    } else {
        for (int i = 0; i < options.clients; i++)
            for (int slot = 0; slot < options.depth; slot++) ask(&conns[i], slot);
    }
}

void talk_move(void) { wire_put(&conns[conn_count - 1], move.bytes, move.size); }

/* Opening. */

void talk_open_more(void) {
    while (!finishing && next_conn < conn_count && opening < options.opening)
        wire_open(&conns[next_conn++]);
}

void talk_connected(Conn *c) {
    if (c->http) {
        c->state = READY;
        opening--;
        return;
    }
    c->state = UPGRADING;
    wire_put(c, upgrade.bytes, upgrade.size);
}

static void ready(Conn *c) {
    c->state = READY;
    opening--;
    if (options.mode == CONNECT) {
        static const uint8_t normal[2] = {0x03, 0xe8};
        Blob bye = frame(CLOSE, normal, 2);
        done(clock_ns() - c->opened, 0);
        wire_put(c, bye.bytes, bye.size);
        free(bye.bytes);
        wire_flush_all();
        wire_close(c);
        if (!finishing) wire_open(c);
        return;
    }
    ready_count++;
    talk_open_more();
}

void talk_lost(Conn *c) {
    State was = c->state;
    wire_close(c);
    if (finishing) return;
    lost_count++;
    mistake(c, "the connection is lost", NULL, 0);
    if (options.mode == CONNECT && error_count < 2000) wire_open(c);
    else fail(was == READY ? "the server closed a connection" : "a connection failed at set-up");
}

static size_t take_upgrade(Conn *c, const uint8_t *bytes, size_t size) {
    const uint8_t *end = memmem(bytes, size, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t length = (size_t)(end - bytes) + 4;
    int right = !strncmp((const char *)bytes, "HTTP/1.1 101", 12) &&
                memmem(bytes, length, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28) &&
                (!options.deflate || memmem(bytes, length, "permessage-deflate", 18));
    if (!right) {
        mistake(c, "the upgrade was refused", bytes, length);
        fail("an upgrade was refused");
    }
    c->state = OPENING;
    return length;
}

/* Answers. */

static void answered(Conn *c, int slot, size_t bytes) {
    done(now - c->asked[slot], bytes);
    if (!finishing) ask(c, slot);
}

void compare(Conn *c, const Blob *wanted, const uint8_t *text, size_t size) {
    size_t known = options.begins && size > wanted->size ? wanted->size : size;
    if (known == wanted->size && !memcmp(text, wanted->bytes, known)) return;
    different_count++;
    if (text[size - 1] != ']') mistake(c, "another answer was expected", text, size);
}

static int number_at(const uint8_t *text, size_t size, size_t *at) {
    int number = 0;
    while (*at < size && text[*at] >= '0' && text[*at] <= '9') number = number * 10 + text[(*at)++] - '0';
    return number;
}

static size_t behind_space(const uint8_t *text, size_t size, size_t at) {
    if (at < size && text[at] == '/')
        while (at < size && text[at++] != ',') {}
    return at;
}

static void take_ack(Conn *c, const uint8_t *text, size_t size) {
    size_t at = 2;
    if (options.mode == BINARY) at = (size_t)((const uint8_t *)memchr(text, '-', size) - text) + 1;
    at = behind_space(text, size, at);
    int slot = number_at(text, size, &at) - FIRST_ID;
    if (slot < 0 || slot >= options.depth) {
        mistake(c, "an unknown acknowledgement", text, size);
    } else if (options.mode == BINARY) {
        c->announced = slot;
    } else {
        compare(c, &answers[slot], text, size);
        answered(c, slot, size);
    }
}

static void take_news(Conn *c, const uint8_t *text, size_t size) {
    if (c->index == 0 || c->index > options.clients) return; /* who asked, and who moves */
    size_t at = behind_space(text, size, 2), start = at;
    while (at < size && text[at] != ',') at++;
    at += at + 1 < size && text[at + 1] == ' ' ? 3 : 2;
    int slot = number_at(text, at + 4 < size ? at + 4 : size, &at);
    if (slot >= options.window || missing[slot] <= 0 || memcmp(text + start, "[\"news\"", 7)) {
        mistake(c, "unexpected news", text, size);
        return;
    }
    done(now - asked[slot], size);
    if (--missing[slot]) return;
    broadcast_count += (uint64_t)measuring;
    if (!finishing) broadcast(slot);
}

static void take_question(Conn *c, const uint8_t *text, size_t size) {
    char answer[256];
    size_t at = behind_space(text, size, 2);
    int id = number_at(text, size, &at);
    if (size - at != answers[0].size || memcmp(text + at, answers[0].bytes, size - at)) different_count++;
    snprintf(answer, sizeof answer, "43%s%d[]", space_prefix(), id);
    Blob said = options.deflate ? deflated_frame(answer, strlen(answer)) : frame(TEXT, answer, strlen(answer));
    wire_put(c, said.bytes, said.size);
    free(said.bytes);
    done(now - c->asked[0], size);
    c->asked[0] = now;
}

static void take_event(Conn *c, const uint8_t *text, size_t size) {
    if (options.mode == FANOUT) {
        take_news(c, text, size);
    } else if (options.mode == ASK) {
        take_question(c, text, size);
    } else if (options.mode == SAY) {
        int slot = (int)c->oldest;
        c->oldest = (c->oldest + 1) % (uint32_t)options.depth;
        compare(c, &answers[slot], text, size);
        answered(c, slot, size);
    } else {
        mistake(c, "an unexpected event", text, size);
    }
}

static void take_text(Conn *c, const uint8_t *text, size_t size) {
    if (size && text[0] == '2') {
        ping_count++;
        wire_put(c, pong.bytes, pong.size);
    } else if (c->state == OPENING && size && text[0] == '0') {
        c->state = JOINING;
        const Blob *said = scheduled() ? mix_join(c) : &join;
        wire_put(c, said->bytes, said->size);
    } else if (c->state == JOINING && size > 2 && text[0] == '4' && text[1] == '0') {
        ready(c);
    } else if (scheduled() && c->state == READY && size > 3 && text[0] == '4') {
        mix_text(c, text, size);
    } else if (c->state == READY && size > 3 && text[0] == '4' && (text[1] == '3' || text[1] == '6')) {
        take_ack(c, text, size);
    } else if (c->state == READY && size > 3 && text[0] == '4' && text[1] == '2') {
        take_event(c, text, size);
    } else if (!(size && text[0] == '6')) {
        mistake(c, "an unexpected packet", text, size);
    }
}

static void take_binary(Conn *c, const uint8_t *bytes, size_t size) {
    if (scheduled()) {
        mix_binary(c, bytes, size);
        return;
    }
    int slot = c->announced;
    c->announced = -1;
    if (options.mode != BINARY || slot < 0 || size != payload.size || memcmp(bytes, payload.bytes, size))
        mistake(c, "another attachment was expected", NULL, 0);
    if (slot >= 0) answered(c, slot, size);
}

static void take_message(Conn *c, int first, const uint8_t *bytes, size_t size) {
    static Blob plain;
    int opcode = first & 15;
    if (opcode == CLOSE) {
        if (options.mode != CONNECT) mistake(c, "the server says goodbye", bytes, size);
    } else if (opcode == PING) {
        Blob answer = frame(PONG, bytes, size);
        wire_put(c, answer.bytes, answer.size);
        free(answer.bytes);
    } else if (first & 0x40) {
        if (!inflate_message(c, bytes, size, &plain)) fail("a message cannot be inflated");
        take_text(c, plain.bytes, plain.size);
    } else if (opcode == TEXT) {
        take_text(c, bytes, size);
    } else if (opcode == BINARY_FRAME) {
        take_binary(c, bytes, size);
    }
}

static void take_frame(Conn *c, int first, const uint8_t *bytes, size_t size) {
    int opcode = first & 15, last = first & 0x80;
    if (opcode >= CLOSE || (last && opcode)) {
        take_message(c, first, bytes, size);
        return;
    }
    if (opcode) {
        c->message.size = 0;
        c->first = (uint8_t)first;
    }
    append(&c->message, bytes, size);
    if (last) take_message(c, c->first, c->message.bytes, c->message.size);
}

size_t talk_bytes(Conn *c, const uint8_t *bytes, size_t size) {
    uint32_t generation = c->generation;
    size_t used = 0;
    if (c->state == UPGRADING) {
        used = take_upgrade(c, bytes, size);
        if (!used) return 0;
    }
    while (size - used >= 2 && !finishing) {
        const uint8_t *at = bytes + used;
        size_t head = 2;
        uint64_t length = at[1] & 127;
        if (at[1] & 0x80) fail("the server masked a frame");
        int more = length == 126 ? 2 : length == 127 ? 8 : 0;
        if (size - used < head + (size_t)more) break;
        if (more) length = 0;
        for (int i = 0; i < more; i++) length = length << 8 | at[head++];
        if (size - used - head < length) break;
        used += head + length;
        take_frame(c, at[0], at + head, length);
        if (c->generation != generation) return size;
    }
    return used;
}
