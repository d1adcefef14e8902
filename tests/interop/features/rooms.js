// Rooms, broadcasts, and what is done to many sockets at once.
"use strict";

const assert = require("node:assert/strict");
const { next } = require("../harness");
const { ask, settled } = require("./columns");

let rooms = 0;
/** Return a room that nobody else is in. */
const fresh = () => `room ${process.pid} ${rooms++}`;

/** Let each socket note its news; returns the lists. */
function listen(sockets) {
  return sockets.map((socket) => {
    const heard = [];
    socket.on("news", (...args) => heard.push(args));
    return heard;
  });
}

async function joined(column, count, room) {
  const sockets = await column.many(count);
  await Promise.all(sockets.map((socket) => ask(socket, "join", room)));
  return sockets;
}

module.exports = {
  async "to everybody, and to everybody else"(column) {
    const sockets = await column.many(3);
    const [a, b, c] = listen(sockets);
    await ask(sockets[0], "cast", {}, "all");
    await ask(sockets[0], "cast", { "from me": true }, "others");
    await settled(...sockets);
    assert.deepEqual(a, [["all"]]);
    assert.deepEqual(b, [["all"], ["others"]]);
    assert.deepEqual(c, b);
  },

  async "rooms are joined, listed and left"(column) {
    const socket = await column.connect();
    await ask(socket, "join", "a", "b");
    assert.deepEqual(await ask(socket, "rooms"), [["a", "b"]]);
    await ask(socket, "leave", "a");
    assert.deepEqual(await ask(socket, "rooms"), [["b"]]);
  },

  async "to several rooms, once each, and except some"(column) {
    const [one, two, out] = [fresh(), fresh(), fresh()];
    const sockets = await column.many(3);
    await ask(sockets[0], "join", one, two);
    await ask(sockets[1], "join", two, out);
    const [a, b, c] = listen(sockets);
    await ask(sockets[2], "cast", { to: [one, two] }, 1);
    await ask(sockets[2], "cast", { to: [one, two], except: [out] }, 2);
    await ask(sockets[0], "cast", { to: [two], "from me": true, local: true }, 3);
    await settled(...sockets);
    assert.deepEqual([a, b, c], [[[1], [2]], [[1], [3]], []]);
  },

  async "a broadcast with binary, and one that is not compressed"(column) {
    const room = fresh();
    const sockets = await joined(column, 2, room);
    const [a, b] = listen(sockets);
    const data = { file: Buffer.from("☃"), also: [Buffer.alloc(3)] };
    await ask(sockets[0], "cast", { to: [room] }, data);
    await ask(sockets[0], "cast", { to: [room], plain: true }, "x".repeat(5000));
    await settled(...sockets);
    assert.deepEqual(a, [[data], ["x".repeat(5000)]]);
    assert.deepEqual(b, a);
  },

  async "a broadcast that asks for answers"(column) {
    const room = fresh();
    const sockets = await joined(column, 3, room);
    sockets[0].on("question", (answer) => answer("a"));
    sockets[1].on("question", (answer) => answer("b"));
    // One is silent.  The others need their time: on a slow machine more than at first.
    let answer;
    for (let seconds = 0.25; seconds < 40; seconds *= 2) {
      answer = await ask(sockets[2], "ask all", room, seconds);
      if (answer[0].length === 2) break;
    }
    assert.deepEqual(answer, [["a", "b"], 1]);
    sockets[2].on("question", (answers) => answers("c"));
    assert.deepEqual(await ask(sockets[0], "ask all", room, 60), [["a", "b", "c"], 0]);
    assert.deepEqual(await ask(sockets[0], "ask all", fresh(), 60), [[], 0]);
  },

  async "sockets are fetched, and moved between rooms"(column) {
    const [room, other] = [fresh(), fresh()];
    const sockets = await joined(column, 2, room);
    const ids = sockets.map((socket) => socket.id).sort();
    assert.deepEqual(await ask(sockets[0], "who", room), [ids]);
    await ask(sockets[0], "all join", room, other);
    assert.deepEqual(await ask(sockets[0], "who", other), [ids]);
    await ask(sockets[0], "all leave", room, room);
    assert.deepEqual(await ask(sockets[0], "who", room), [[]]);
    assert.deepEqual(await ask(sockets[1], "rooms"), [[other]]);
  },

  async "all sockets of a room are disconnected"(column) {
    const room = fresh();
    const sockets = await joined(column, 2, room);
    const watcher = await column.connect();
    const gone = sockets.map((socket) => next(socket, "disconnect"));
    watcher.emit("all go", room);
    for (const [reason] of await Promise.all(gone)) {
      assert.equal(reason, "io server disconnect");
    }
    assert.deepEqual(await ask(watcher, "who", room), [[]]);
  },

  async "an event to the other servers of a cluster of one"(column) {
    const socket = await column.connect();
    assert.deepEqual(await ask(socket, "to servers"), [[]]);
  },
};
