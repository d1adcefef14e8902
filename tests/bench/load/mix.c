/* Schedules: the modes in which a connection says several things in a row.
 *
 * A connection works through a schedule.  It says things up to the first that is answered, waits for
 * the answer, and goes on; what had no answer counts as done then, because messages are in order. */
#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATTACHMENT = 4096, SPACES = 2, EACH = 5 }; /* each fifth connection is in the other namespace */

typedef enum { ACKED, SAID, ATTACHED, SILENT, TOLD } Kind;

typedef struct {
    int share; /* of the fifty messages of a mix */
    Kind kind;
    const char *event, *arguments; /* NULL: a text of `size` bytes */
    long size;
} Part;

static const Part MIXED[] = {
    {14, ACKED, "echo", NULL, 32},
    {4, ACKED, "echo", NULL, 1024},
    {6, ACKED, "echo", "{\"who\":{\"id\":17,\"name\":\"Ada\"},\"tags\":[\"a\",\"b\",null,true],\"at\":[1.5,-2]}", 0},
    {4, ACKED, "echo", "\"Grüße aus Köln, 東京, Москва: naïve café\"", 0},
    {3, ACKED, "echo3", "\"a\",2,[3]", 0},
    {3, SAID, "say", NULL, 32},
    {2, ATTACHED, "bin", NULL, 0},
    {8, SILENT, "note", NULL, 64},
    {4, SILENT, "note", "{\"at\":[1,2,3],\"key\":{\"up\":false}}", 0},
    {1, SILENT, "move", "", 0},
    {1, TOLD, "bcast", NULL, 64},
};
enum { PARTS = sizeof MIXED / sizeof *MIXED, MIX = 50 };

typedef struct {
    Kind kind;
    Blob says, wanted;
} Step;

static Step made[SPACES][PARTS];
static const Step **schedules[SPACES];
static int length, members[SPACES];
static Blob attachment, joins[SPACES];
static uint64_t told, heard;
static const char *SPACE[SPACES] = {"", "/chat,"};

static Step step_of(const Part *part, const char *space) {
    char *text, *answer, *brackets = part->arguments ? strdup(part->arguments) : text_argument(part->size);
    const char *comma = brackets[0] ? "," : "", *id = part->kind == ACKED ? "7" : "";
    Step step = {.kind = part->kind};
    if (asprintf(&text, "42%s%s[\"%s\"%s%s]", space, id, part->event, comma, brackets) < 0) abort();
    if (part->kind == ATTACHED) {
        if (asprintf(&text, "451-%s7[\"bin\",{\"_placeholder\":true,\"num\":0}]", space) < 0) abort();
        if (asprintf(&answer, "461-%s7[{\"_placeholder\":true,\"num\":0}]", space) < 0) abort();
    } else if (part->kind == ACKED) {
        if (asprintf(&answer, "43%s7[%s]", space, brackets) < 0) abort();
    } else if (asprintf(&answer, "42%s[\"%s\",%s]", space, part->kind == SAID ? "said" : "news", brackets) < 0) {
        abort();
    }
    step.says = frame(1, text, strlen(text));
    step.wanted = text_blob(answer);
    if (part->kind == ATTACHED) {
        Blob bytes = frame(2, attachment.bytes, attachment.size);
        append(&step.says, bytes.bytes, bytes.size);
    }
    return step;
}

/* The same shuffled order in every run. */
static void shuffle(int *order, int count) {
    uint32_t x = 2463534242u;
    for (int i = count - 1; i > 0; i--) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        int other = (int)(x % (uint32_t)(i + 1)), was = order[i];
        order[i] = order[other];
        order[other] = was;
    }
}

static void prepare_mix(void) {
    int order[MIX], count = 0;
    for (int part = 0; part < PARTS; part++)
        for (int i = 0; i < MIXED[part].share; i++) order[count++] = part;
    shuffle(order, MIX);
    length = MIX;
    for (int space = 0; space < SPACES; space++) {
        for (int part = 0; part < PARTS; part++) made[space][part] = step_of(&MIXED[part], SPACE[space]);
        schedules[space] = calloc(MIX, sizeof(Step *));
        for (int i = 0; i < MIX; i++) schedules[space][i] = &made[space][order[i]];
    }
}

/* Events without acknowledgement, and one with it for every -d. */
static void prepare_notes(void) {
    Part note = {1, SILENT, "note", NULL, options.size}, last = {1, ACKED, "echo", NULL, options.size};
    made[0][0] = step_of(&note, "");
    made[0][1] = step_of(&last, "");
    length = options.depth;
    schedules[0] = calloc((size_t)length, sizeof(Step *));
    for (int i = 0; i < length; i++) schedules[0][i] = &made[0][i == length - 1];
}

static int space_of(Conn *c) { return options.mode == MIXTURE && c->index % EACH == EACH - 1; }

const Blob *mix_join(Conn *c) { return &joins[space_of(c)]; }

void mix_prepare(void) {
    for (int i = 0; i < ATTACHMENT; i++) {
        uint8_t byte = (uint8_t)(i * 167 + (i >> 8));
        append(&attachment, &byte, 1);
    }
    joins[0] = frame(1, "40", 2);
    joins[1] = frame(1, "40/chat,", 8);
    if (options.mode == MIXTURE) prepare_mix();
    else prepare_notes();
    for (int i = 0; i < conn_count; i++) members[space_of(&conns[i])]++;
}

static const Step *at(Conn *c) { return schedules[space_of(c)][c->step]; }

void mix_go_on(Conn *c) {
    c->asked[0] = now;
    for (c->silent = 0;; c->step = (c->step + 1) % length) {
        const Step *step = at(c);
        wire_put(c, step->says.bytes, step->says.size);
        if (step->kind != SILENT && step->kind != TOLD) return;
        if (step->kind == TOLD) told += (uint64_t)members[space_of(c)];
        c->silent++;
    }
}

void mix_begin(void) {
    for (int i = 0; i < conn_count; i++) {
        conns[i].step = options.mode == MIXTURE ? i * 7 % length : 0;
        mix_go_on(&conns[i]);
    }
}

/* An answer came: it and what was said before it without an answer are done. */
static void answered(Conn *c, size_t size) {
    for (int i = 0; i < c->silent; i++) done(now - c->asked[0], 0);
    done(now - c->asked[0], size);
    c->step = (c->step + 1) % length;
    if (!finishing) mix_go_on(c);
}

void mix_text(Conn *c, const uint8_t *text, size_t size) {
    const Step *step = at(c);
    if (text[1] == '2' && memmem(text, size < 32 ? size : 32, "[\"news\"", 7)) {
        heard++;
        broadcast_count += (uint64_t)measuring;
        compare(c, &made[space_of(c)][PARTS - 1].wanted, text, size);
        return;
    }
    if (text[1] != (step->kind == ACKED ? '3' : step->kind == SAID ? '2' : '6')) {
        mistake(c, "an answer that nobody asked for", text, size);
        return;
    }
    compare(c, &step->wanted, text, size);
    if (step->kind == ATTACHED) c->announced = 0;
    else answered(c, size);
}

void mix_binary(Conn *c, const uint8_t *bytes, size_t size) {
    int announced = c->announced;
    c->announced = -1;
    if (announced || size != attachment.size || memcmp(bytes, attachment.bytes, size))
        mistake(c, "another attachment was expected", NULL, 0);
    if (!announced) answered(c, size);
}

/* Nearly all that was broadcast has to arrive: what is missing at the end may still be under way. */
int mix_whole(void) { return heard * 10 >= told * 8; }
