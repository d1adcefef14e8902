// A durable queue on the wire: the official client with nothing but events, and our browser client.
"use strict";

const assert = require("node:assert/strict");
const path = require("node:path");
const { after, afterEach, before, describe, it } = require("node:test");
const official = require("socket.io-client").io;
const { ANSWER_MS, startServer } = require("./harness");

globalThis.WebSocket = globalThis.WebSocket || require("ws");
const ours = require(path.join(__dirname, "../../rawsio/browser/socket.io.js"));

// Each test has queues of its own: the consumers of the one before may still be on their way out.
describe("queue", { timeout: 5 * ANSWER_MS }, () => {
  let server;
  let open = [];
  before(async () => {
    server = await startServer("queue");
  });
  after(() => server.stop());
  afterEach(() => {
    for (const socket of open) socket.disconnect();
    open = [];
  });

  function connect(io, options = {}) {
    const socket = io(server.url + "/queue", { forceNew: true, reconnectionDelay: 20, ...options });
    open.push(socket);
    return socket;
  }

  /** A request of a client that knows only events: [error, value]. */
  function ask(socket, ...args) {
    return new Promise((resolve) => socket.emit(...args, (...answer) => resolve(answer)));
  }

  for (const name of ["polling", "websocket"]) {
    it(`the official client publishes and consumes by events alone, ${name}`, async () => {
      const socket = connect(official, { transports: [name] });
      const done = new Promise((resolve) => {
        socket.on("message", (message, ack) => {
          if (message.deliveries === 1) return ack({ error: "once more", delay: 0 });
          ack();
          resolve(message);
        });
      });
      const [refused, consumer] = await ask(socket, "consume", name, { credit: 5 });
      assert.equal(refused, null);
      const body = { text: "Zürich", bytes: Buffer.from([1, 2, 3]) };
      const [error, published] = await ask(socket, "publish", name, body, { group: "g" });
      assert.equal(error, null);
      const message = await done;
      assert.equal(message.id, published.id);
      const seen = { ...message.body, bytes: [...message.body.bytes] };
      assert.deepEqual(seen, { text: "Zürich", bytes: [1, 2, 3] });
      assert.deepEqual(await ask(socket, "cancel", consumer.consumer), [null, { returned: 0 }]);
      const [forbidden] = await ask(socket, "purge", name);
      assert.equal(forbidden.code, "forbidden");
    });
  }

  it("a batch of the official client is answered by position", async () => {
    const socket = connect(official);
    const calls = [];
    const done = new Promise((resolve) => {
      socket.on("messages", (messages, ack) => {
        calls.push(messages.map((message) => message.body));
        ack(calls.length === 1 ? [null, { error: "no", delay: 0 }, null] : undefined);
        if (calls.length === 2) resolve();
      });
    });
    await ask(socket, "consume", "batches", { batch: 3, linger: 0.2, credit: 3 });
    const [, answers] = await ask(socket, "publish_many", "batches", [[1], [2], [3]]);
    assert.equal(answers.length, 3);
    await done;
    assert.deepEqual(calls, [[1, 2, 3], [2]]);
  });

  it("our client publishes, processes and hears refusals", async () => {
    const socket = connect(ours);
    const jobs = socket.queue("ours");
    const seen = [];
    const done = new Promise((resolve) => {
      jobs.handler(async (message) => {
        seen.push([message.body, message.deliveries]);
        if (message.deliveries === 1) throw new Error("not yet");
        resolve();
      });
    });
    const first = await jobs.publish({ pic: 7 }, { key: "pic-7" });
    assert.deepEqual(await jobs.publish({ pic: 7 }, { key: "pic-7" }), { ...first, duplicate: true });
    await assert.rejects(socket.queue("none").publish(1), { code: "no_such_queue" });
    await assert.rejects(jobs.purge(), { code: "forbidden" });
    await done;
    assert.deepEqual(seen, [[{ pic: 7 }, 1], [{ pic: 7 }, 2]]);
  });

  it("our client manages where it may, and buries what it throws as dead", async () => {
    const managed = connect(ours).queue("managed");
    assert.equal((await managed.publishMany([[1], [2]])).length, 2);
    assert.equal((await managed.stats()).ready, 2);
    managed.handler((message) => {
      if (message.body === 1) throw Object.assign(new Error("never"), { dead: true });
    });
    for (;;) {
      const { dead, acked } = await managed.stats();
      if (dead === 1 && acked === 1) break;
    }
    const [letter] = await managed.peek({ state: "dead" });
    assert.deepEqual([letter.body, letter.error], [1, "never"]);
    assert.deepEqual(await managed.purge(["dead"]), { purged: 1 });
  });

  it("our client goes on consuming after a cut", async () => {
    const socket = connect(ours);
    await new Promise((resolve) => socket.once("connect", resolve));
    const jobs = socket.queue("cut");
    const bodies = [];
    jobs.handler((message) => bodies.push(message.body));
    socket.io.engine.finish("transport close");
    await new Promise((resolve) => socket.once("connect", resolve));
    await jobs.publish("after the cut");
    while (!bodies.includes("after the cut")) await new Promise((resolve) => setTimeout(resolve, 10));
  });
});
