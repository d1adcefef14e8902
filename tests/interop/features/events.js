// Events, acknowledgements and what they carry.
"use strict";

const assert = require("node:assert/strict");
const { ANSWER_MS, collect, next } = require("../harness");
const { ask, settled } = require("./columns");

const TEXT = "snow ☃, clef 𝄞, lines \u2028\n, NUL \u0000, quotes \" ' \\, separator \u001e";

module.exports = {
  async "events with several arguments, both ways"(column) {
    const socket = await column.connect();
    const values = [TEXT, "", 0, -1.5, true, null, [[]], { a: { b: ["c", null] } }];
    const heard = next(socket, "back");
    socket.emit("back", ...values);
    assert.deepEqual(await heard, values);
  },

  async "binary, nested and several, both ways"(column) {
    const socket = await column.connect();
    const all = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
    const values = [all, { deep: [Buffer.from(""), "x", { er: Buffer.from("☃") }] }, 7];
    const heard = next(socket, "back");
    socket.emit("back", ...values);
    assert.deepEqual(await heard, values);
  },

  async "acknowledgements with several values, binary, and none"(column) {
    const socket = await column.connect();
    const values = [TEXT, Buffer.from([0, 255]), { x: [Buffer.from("y")] }];
    assert.deepEqual(await ask(socket, "echo", ...values), values);
    assert.deepEqual(await ask(socket, "a list"), [[1, [2]]]);
    assert.deepEqual(await ask(socket, "nothing"), []);
  },

  async "an acknowledgement that comes late, or never"(column) {
    const socket = await column.connect();
    let never = true;
    socket.emit("never", 1, () => (never = false));
    assert.deepEqual(await ask(socket, "late", 5), [5, "late"]);
    assert.ok(never);
  },

  async "questions of the server, and their time-out"(column) {
    const socket = await column.connect();
    socket.on("question", (value, answer) => answer({ value }));
    let answered = next(socket, "answered");
    socket.emit("ask", 60, "question", Buffer.from("b"));
    assert.deepEqual(await answered, [{ value: Buffer.from("b") }]);
    socket.on("silence", () => {});
    answered = next(socket, "answered");
    socket.emit("ask", 0.2, "silence");
    assert.deepEqual(await answered, ["TimeoutError"]);
  },

  async "send and message"(column) {
    const socket = await column.connect();
    const heard = next(socket, "message");
    socket.emit("send", 1, "two");
    assert.deepEqual(await heard, [1, "two"]);
  },

  async "a burst in its order"(column) {
    const socket = await column.connect();
    const heard = collect(socket, "burst", 100);
    socket.emit("burst", 100);
    assert.deepEqual(await heard, Array.from({ length: 100 }, (_, n) => [n]));
    const sent = Array.from({ length: 100 }, (_, n) => ask(socket, "echo", n));
    assert.deepEqual(await Promise.all(sent), Array.from({ length: 100 }, (_, n) => [n]));
  },

  async "a megabyte each way, compressed below"(column) {
    const socket = await column.connect();
    assert.deepEqual(await ask(socket, "size", "x".repeat(1_000_000)), [1_000_000]);
    const [answer] = await ask(socket, "long", 1_000_000);
    assert.equal(answer, "y".repeat(1_000_000));
    assert.deepEqual(await ask(socket, "size", Buffer.alloc(700_000)), [700_000]);
  },

  async "volatile, and not compressed"(column) {
    const socket = await column.connect();
    const heard = [];
    socket.on("quiet", (value) => heard.push(value));
    // A poll that is on its way is no place for a volatile event: ask until one waits.
    for (const end = Date.now() + ANSWER_MS; Date.now() < end && !heard.includes(1); ) {
      socket.emit("quiet");
      await settled(socket);
    }
    assert.ok(heard.includes(1));
    assert.ok(heard.includes("z".repeat(5000)));
  },

  async "middleware of events refuses one"(column) {
    const socket = await column.connect();
    const refused = next(socket, "was refused");
    socket.emit("forbidden", 1);
    assert.deepEqual(await refused, ["not that"]);
    assert.deepEqual(await ask(socket, "echo", 1), [1]);
  },

  async "listeners for everything, both ways"(column) {
    const socket = await column.connect();
    socket.emit("back", 1);
    await settled(socket);
    const [[seen, sent]] = await ask(socket, "seen");
    assert.deepEqual(seen, ["back", "nothing", "seen"]);
    assert.deepEqual(sent, ["back"]);
  },
};
