// The official client against the server under test, on each way that it can connect.
"use strict";

const assert = require("node:assert/strict");
const { after, before, describe, it } = require("node:test");
const { io } = require("socket.io-client");
const { ANSWER_MS, collect, next, startServer } = require("./harness");

const WAYS = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};

const TEXTS = [
  "",
  "plain",
  "snow ☃, clef 𝄞, line separator \u2028, NUL \u0000, quote \" and \\ and \u001e",
  "42[\"looks like a packet\"]",
];
const VALUES = [0, -1.5, 1e21, true, null, [], {}, [[1, [2]]], { a: { b: ["c", null] } }];

for (const [way, transports] of Object.entries(WAYS)) {
  describe(`official client, ${way}`, () => {
    let server;
    const open = [];
    // An acknowledgement that never comes is an error, not a test that hangs.
    const base = { transports, forceNew: true, ackTimeout: ANSWER_MS };

    /** Connect, wait for the upgrade if there is to be one, and hand back the socket. */
    async function connect(namespace = "/", options = {}) {
      const socket = io(server.url + namespace, { ...base, ...options });
      open.push(socket);
      await next(socket, "connect");
      const engine = socket.io.engine;
      if (way === "upgrade" && engine.transport.name !== "websocket") await next(engine, "upgrade");
      return socket;
    }

    before(async () => {
      server = await startServer("client");
    });
    after(async () => {
      for (const socket of open) socket.disconnect();
      assert.equal(await server.stop(), 0, "the server ended with an error");
    });

    it("connects over the transport it asked for", async () => {
      const socket = await connect();
      assert.equal(socket.io.engine.transport.name, transports.at(-1));
      assert.match(socket.id, /^[A-Za-z0-9_-]{16,}$/);
    });

    it("hands over the auth payload", async () => {
      const socket = io(server.url, { ...base, auth: { token: "t☃" } });
      open.push(socket);
      assert.deepEqual(await next(socket, "auth"), [{ token: "t☃" }]);
    });

    it("gets text and values back as it sent them", async () => {
      const socket = await connect();
      for (const value of [...TEXTS, ...VALUES]) {
        socket.emit("echo", value);
        assert.deepEqual(await next(socket, "echo back"), [value]);
      }
      socket.emit("echo", ...TEXTS, ...VALUES);
      assert.deepEqual(await next(socket, "echo back"), [...TEXTS, ...VALUES]);
      socket.emit("echo");
      assert.deepEqual(await next(socket, "echo back"), []);
    });

    it("gets binary back as it sent it", async () => {
      const socket = await connect();
      const all = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
      const args = [all, { deep: [Buffer.alloc(0), "text", { er: Buffer.from("☃") }] }, 7];
      socket.emit("echo", ...args);
      assert.deepEqual(await next(socket, "echo back"), args);
    });

    it("has its events acknowledged, with text, binary, several values and none", async () => {
      const socket = await connect();
      assert.equal(await socket.emitWithAck("ack", "one"), "one");
      assert.deepEqual(await socket.emitWithAck("ack", Buffer.from([1, 2])), Buffer.from([1, 2]));
      const several = await new Promise((resolve) => {
        socket.emit("ack", 1, { b: Buffer.from([3]) }, (_error, ...values) => resolve(values));
      });
      assert.deepEqual(several, [1, { b: Buffer.from([3]) }]);
      const none = await new Promise((resolve) => {
        socket.emit("ack", (_error, ...values) => resolve(values));
      });
      assert.deepEqual(none, []);
    });

    it("acknowledges the server's events, with text and binary", async () => {
      const socket = await connect();
      socket.on("question", (value, ack) => ack(value));
      for (const value of ["text ☃", { n: [1, null] }, Buffer.from([0, 255])]) {
        socket.emit("ask", value);
        assert.deepEqual(await next(socket, "answered"), [value]);
      }
    });

    it("times out on an event that is never acknowledged", async () => {
      const socket = await connect();
      await assert.rejects(socket.timeout(200).emitWithAck("never"), /timed out/);
      assert.equal(await socket.emitWithAck("ack", "still here"), "still here");
    });

    it("is in two namespaces over one connection", async () => {
      const main = await connect();
      const custom = main.io.socket("/custom");
      open.push(custom);
      await next(custom, "connect");
      assert.notEqual(main.id, custom.id);
      const strays = [];
      main.on("echo back", (...args) => strays.push(args));
      custom.emit("echo", "custom", Buffer.from([1]));
      assert.deepEqual(await next(custom, "echo back"), ["custom", Buffer.from([1])]);
      assert.equal(await main.emitWithAck("ack", "main"), "main");
      assert.deepEqual(strays, []);
      custom.disconnect();
      assert.equal(await main.emitWithAck("ack", "main again"), "main again");
      custom.connect();
      await next(custom, "connect");
      assert.equal(await custom.emitWithAck("ack", "back"), "back");
    });

    it("is told that a namespace does not exist", async () => {
      const main = await connect();
      const random = main.io.socket("/random");
      open.push(random);
      const [error] = await next(random, "connect_error");
      assert.equal(error.message, "Invalid namespace");
      assert.equal(await main.emitWithAck("ack", "unharmed"), "unharmed");
    });

    it("is refused by middleware, with its reason and data, and let in with the token", async () => {
      const stranger = io(`${server.url}/admin`, base);
      open.push(stranger);
      const [error] = await next(stranger, "connect_error");
      assert.equal(error.message, "not authorized");
      assert.deepEqual(error.data, { retry: false });
      const friend = await connect("/admin", { auth: { token: "secret" } });
      assert.equal(await friend.emitWithAck("ack", "in"), "in");
    });

    it("sends to rooms and everyone, and hears what it should and nothing else", async () => {
      const [ann, bob, eve] = await Promise.all([connect(), connect(), connect()]);
      const heard = { ann: [], bob: [], eve: [] };
      for (const [name, socket] of Object.entries({ ann, bob, eve })) {
        socket.on("news", (...args) => heard[name].push(args));
      }
      /** Wait until everything that was sent before has arrived everywhere. */
      const settle = () =>
        Promise.all([ann, bob, eve].map((socket) => socket.emitWithAck("ack", "settled")));
      await Promise.all([ann.emitWithAck("join", "room"), bob.emitWithAck("join", "room")]);
      assert.deepEqual(await bob.emitWithAck("rooms"), [bob.id, "room"].sort());

      await ann.emitWithAck("to room", "room", "to", Buffer.from([1]));
      await ann.emitWithAck("in room", "room", "in");
      await ann.emitWithAck("except", "room", "except");
      await ann.emitWithAck("broadcast", "broadcast");
      await ann.emitWithAck("everyone", "everyone");
      await ann.emitWithAck("to room", eve.id, "private");
      await settle();
      assert.deepEqual(heard.ann, [["in"], ["everyone"]]);
      assert.deepEqual(heard.bob, [["to", Buffer.from([1])], ["in"], ["broadcast"], ["everyone"]]);
      assert.deepEqual(heard.eve, [["except"], ["broadcast"], ["everyone"], ["private"]]);

      await bob.emitWithAck("leave", "room");
      await ann.emitWithAck("to room", "room", "after leaving");
      await settle();
      assert.equal(heard.bob.length, 4);
    });

    it("moves a megabyte each way, as text and as binary", async () => {
      const socket = await connect();
      const text = "0123456789abcdef".repeat(62_500);
      const binary = Buffer.alloc(1_000_000, 0xa5);
      assert.equal(await socket.emitWithAck("size", text), 1_000_000);
      assert.equal(await socket.emitWithAck("ack", text), text);
      const back = await socket.emitWithAck("ack", binary);
      assert.ok(Buffer.compare(binary, back) === 0);
    });

    it("keeps the order of a hundred events in one burst, both ways", async () => {
      const socket = await connect();
      const order = Array.from({ length: 100 }, (_, number) => number);
      const acks = await Promise.all(order.map((n) => socket.emitWithAck("ack", n)));
      assert.deepEqual(acks, order);
      const burst = collect(socket, "burst", 100);
      socket.emit("burst", 100);
      assert.deepEqual((await burst).map(([n]) => n), order);
      const echoes = collect(socket, "echo back", 100);
      for (const n of order) socket.emit("echo", n, Buffer.from([n]));
      assert.deepEqual(await echoes, order.map((n) => [n, Buffer.from([n])]));
    });

    it("sends what it wrote while the upgrade was still going on", async () => {
      const socket = io(server.url, base);
      open.push(socket);
      const echoes = collect(socket, "echo back", 50);
      for (let n = 0; n < 50; n++) {
        socket.emit("echo", n, Buffer.from([n]));
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      assert.deepEqual((await echoes).map(([n]) => n), Array.from({ length: 50 }, (_, n) => n));
    });

    it("is told by the server to leave, and others hear that it is gone", async () => {
      const [stays, goes, leaves] = await Promise.all([connect(), connect(), connect()]);
      const ids = [goes.id, leaves.id];
      const gone = collect(stays, "gone", 2);
      goes.emit("leave me", false);
      assert.equal((await next(goes, "disconnect"))[0], "io server disconnect");
      leaves.disconnect();
      assert.deepEqual(Object.fromEntries(await gone), {
        [ids[0]]: "server namespace disconnect",
        [ids[1]]: "client namespace disconnect",
      });
    });

    it("has its whole connection closed by the server", async () => {
      const socket = await connect();
      const closed = next(socket.io, "close");
      socket.emit("leave me", true);
      assert.equal((await next(socket, "disconnect"))[0], "io server disconnect");
      await closed;
    });

    it("comes back after the server was killed and started again", async () => {
      const own = await startServer("client");
      const socket = io(own.url, { ...base, reconnectionDelay: 50 });
      open.push(socket);
      await next(socket, "connect");
      const first = socket.id;
      const lost = next(socket, "disconnect");
      await own.kill();
      const [reason] = await lost;
      assert.match(reason, /^transport (close|error)$/);
      const delivered = socket.emitWithAck("ack", "written while away");
      const again = await startServer("client", own.port);
      try {
        await next(socket, "connect");
        assert.notEqual(socket.id, first);
        assert.equal(await delivered, "written while away");
      } finally {
        socket.disconnect();
        await again.stop();
      }
    });
  });
}
