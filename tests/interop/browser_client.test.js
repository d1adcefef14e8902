// rawsio's own browser client, run in Node, against the server under test (harness.js).
"use strict";

const assert = require("node:assert/strict");
const { once } = require("node:events");
const http = require("node:http");
const path = require("node:path");
const { after, afterEach, before, describe, it } = require("node:test");
const { ANSWER_MS, next, startServer } = require("./harness");

globalThis.WebSocket = require("ws");
const io = require(path.join(__dirname, "../../rawsio/browser/socket.io.js"));

const LIMIT = { timeout: 5 * ANSWER_MS };

let server;
let open = [];

/** A socket that is closed when the test ends. */
function connect(options = {}, namespace = "") {
  const socket = io(server.url + namespace, { forceNew: true, reconnectionDelay: 50, ...options });
  open.push(socket);
  return socket;
}

function bytes(data) {
  assert.ok(data instanceof ArrayBuffer, `an ArrayBuffer, not ${data}`);
  return Array.from(new Uint8Array(data));
}

function numbers(count) {
  return Array.from({ length: count }, (_, number) => number);
}

function suite(name, mode, body, times = {}) {
  describe(name, LIMIT, () => {
    before(async () => {
      server = await startServer(mode, 0, times);
    });
    after(() => server.stop());
    afterEach(() => {
      for (const socket of open) socket.disconnect();
      open = [];
    });
    body();
  });
}

const WAYS = {
  "polling only": { transports: ["polling"] },
  "websocket only": { transports: ["websocket"] },
  "polling, then the upgrade": {},
};

for (const [way, opts] of Object.entries(WAYS)) {
  suite(`browser client, ${way}`, "client", () => {
    it("connects and has an id", async () => {
      const socket = connect(opts);
      await next(socket, "connect");
      assert.equal(typeof socket.id, "string");
      assert.ok(socket.connected && socket.active);
      assert.notEqual(socket.id, socket.io.engine.id);
    });

    it("text goes out and comes back", async () => {
      const socket = connect(opts);
      const args = [1, "2", { 3: [true, null] }, "Zürich, 東京, 😀", "\u2028\u001e"];
      socket.emit("echo", ...args);
      assert.deepEqual(await next(socket, "echo back"), args);
    });

    it("acknowledgements both ways", async () => {
      const socket = connect(opts);
      assert.deepEqual(await socket.emitWithAck("ack", { a: 1 }), { a: 1 });
      socket.on("question", (a, b, ack) => ack([b, a]));
      socket.emit("ask", "one", "two");
      assert.deepEqual(await next(socket, "answered"), [["two", "one"]]);
    });

    it("binary both ways, as buffer, view and Blob", async () => {
      const socket = connect(opts);
      const shared = new Uint8Array([9, 1, 2, 3, 9]);
      socket.emit("echo", shared.buffer, { view: shared.subarray(1, 4) }, [Buffer.from("hi")]);
      const [whole, { view }, [buffer]] = await next(socket, "echo back");
      assert.deepEqual(bytes(whole), [9, 1, 2, 3, 9]);
      assert.deepEqual(bytes(view), [1, 2, 3]);
      assert.deepEqual(bytes(buffer), [104, 105]);
      const back = await socket.emitWithAck("ack", new Blob(["blob"]));
      assert.deepEqual(bytes(back), [98, 108, 111, 98]);
    });

    it("binary in the acknowledgement that the page gives", async () => {
      const socket = connect(opts);
      socket.on("question", (data, ack) => ack({ twice: [data, data] }));
      socket.emit("ask", new Uint8Array([7]));
      const [{ twice }] = await next(socket, "answered");
      assert.deepEqual(twice.map(bytes), [[7], [7]]);
    });

    it("bodies of one megabyte", async () => {
      const socket = connect(opts);
      const text = "é".repeat(500_000);
      assert.equal(await socket.emitWithAck("ack", text), text);
      const data = new Uint8Array(1_000_000).map((_, i) => i * 7);
      const back = await socket.emitWithAck("ack", data);
      assert.ok(Buffer.from(back).equals(Buffer.from(data)));
    });

    it("a burst of 100 events each way keeps its order", async () => {
      const socket = connect(opts);
      const seen = [];
      const sent = numbers(100);
      socket.on("echo back", (i) => seen.push(i));
      for (const i of sent) socket.emit("echo", i);
      await socket.emitWithAck("ack", 0);
      assert.deepEqual(seen, sent);

      const items = [];
      socket.on("burst", (i) => items.push(i));
      socket.emit("burst", 100);
      await socket.emitWithAck("ack", 0);
      assert.deepEqual(items, sent);
    });

    it("rooms and broadcast reach whom they should", async () => {
      const [anna, ben, carl] = [connect(opts), connect(opts), connect(opts)];
      const heard = [];
      [anna, ben, carl].forEach((socket, who) => socket.on("news", (text) => heard.push([who, text])));
      for (const socket of [anna, ben]) await socket.emitWithAck("join", "room");
      await carl.emitWithAck("ack", 0);
      await anna.emitWithAck("to room", "room", "hello");
      await ben.emitWithAck("leave", "room");
      await anna.emitWithAck("to room", "room", "gone");
      await carl.emitWithAck("everyone", "all");
      for (const socket of [anna, ben]) await socket.emitWithAck("ack", 0);
      assert.deepEqual(heard.slice(0, 1), [[1, "hello"]]);
      assert.deepEqual(heard.slice(1).sort(), [[0, "all"], [1, "all"], [2, "all"]]);
    });

    it("namespaces share one connection, and leave it one by one", async () => {
      const main = connect(opts);
      const custom = main.io.socket("/custom", { auth: { token: "123" } });
      open.push(custom);
      const [, [auth]] = await Promise.all([next(main, "connect"), next(custom, "auth")]);
      assert.deepEqual(auth, { token: "123" });
      assert.equal(await custom.emitWithAck("ack", "c"), "c");
      custom.disconnect();
      assert.equal(await main.emitWithAck("ack", "m"), "m");
      const engine = main.io.engine;
      main.disconnect();
      if (engine.readyState !== "closed") await next(engine, "close");
    });

    it("reconnects to a server that was killed, and sends what was emitted meanwhile", async () => {
      const socket = connect(opts);
      await socket.emitWithAck("ack", 0);
      const { id } = socket;
      const attempts = [];
      socket.io.on("reconnect_attempt", (number) => attempts.push(number));
      const lost = next(socket, "disconnect");
      const back = next(socket.io, "reconnect");
      await server.kill();
      assert.match((await lost)[0], /^transport (close|error)$/);
      const answer = socket.emitWithAck("ack", "kept");
      server = await startServer("client", server.port);
      assert.equal(await answer, "kept");
      assert.deepEqual(attempts.map((number) => number - 1), numbers((await back)[0]));
      assert.notEqual(socket.id, id);
    });
  });
}

suite("browser client, its connection", "client", () => {
  it("is upgraded, without losing or reordering anything", async () => {
    const socket = connect();
    const seen = [];
    socket.on("echo back", (i) => seen.push(i));
    const { engine } = socket.io;
    assert.equal(engine.transport.name, "polling");
    let count = 0;
    const timer = setInterval(() => socket.emit("echo", count++), 1);
    await next(engine, "upgrade");
    assert.equal(engine.transport.name, "websocket");
    clearInterval(timer);
    await socket.emitWithAck("ack", 0);
    assert.deepEqual(seen, numbers(count));
  });

  it("stays on polling when the upgrade is not wanted", async () => {
    const socket = connect({ upgrade: false });
    await socket.emitWithAck("ack", 0);
    assert.equal(socket.io.engine.probe, null);
    assert.equal(socket.io.engine.transport.name, "polling");
  });

  it("stays on polling when the WebSocket fails", async () => {
    const { WebSocket } = globalThis;
    globalThis.WebSocket = class extends WebSocket {
      constructor() {
        super("ws://127.0.0.1:1/");
      }
    };
    try {
      const socket = connect();
      await next(socket.io.engine, "upgradeError");
      assert.equal(await socket.emitWithAck("ack", 1), 1);
      assert.equal(socket.io.engine.transport.name, "polling");
    } finally {
      globalThis.WebSocket = WebSocket;
    }
  });

  it("is given up when no ping comes", async () => {
    const socket = connect();
    await next(socket, "connect");
    socket.io.engine.patience = 20;
    socket.io.engine.wait();
    assert.equal((await next(socket, "disconnect"))[0], "ping timeout");
    await next(socket, "connect");
  });

  it("of a server that is not there fails, is tried again, and is given up", async () => {
    const socket = io("http://127.0.0.1:1", { reconnectionDelay: 5, reconnectionAttempts: 2 });
    open.push(socket);
    const errors = [];
    socket.on("connect_error", (error) => errors.push(error.message));
    await next(socket.io, "reconnect_failed");
    assert.deepEqual(errors, Array(3).fill("xhr poll error"));
    assert.ok(socket.active && !socket.connected);
  });

  it("tries the other transports if asked to", async () => {
    const socket = connect({ transports: ["websocket", "polling"], tryAllTransports: true, protocols: ["é"] });
    await next(socket, "connect");
    assert.equal(socket.io.engine.transport.name, "polling");
  });

  it("starts with the WebSocket that worked before, if it is to remember", async () => {
    const first = connect({ rememberUpgrade: true });
    await next(first.io.engine, "upgrade");
    const second = connect({ rememberUpgrade: true });
    assert.equal(second.io.engine.transport.name, "websocket");
    await next(second, "connect");
    assert.equal(connect().io.engine.transport.name, "polling");
  });

  it("gives up on a request that takes too long", async () => {
    const silent = http.createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
    try {
      const socket = io(`http://127.0.0.1:${silent.address().port}`, { forceNew: true, requestTimeout: 20 });
      open.push(socket);
      assert.equal((await next(socket, "connect_error"))[0].message, "xhr poll error");
    } finally {
      silent.closeAllConnections();
      silent.close();
    }
  });

  const TIMES = '"pingInterval":25000,"pingTimeout":20000';
  for (const first of [
    "0null", "0[]", "0{}", "0{", "6", "40", "2", "1",
    `0{"sid":5,"upgrades":[],${TIMES}}`,
    `0{"sid":"x","upgrades":"websocket",${TIMES}}`,
    '0{"sid":"x","upgrades":[],"pingInterval":"1","pingTimeout":1}',
  ]) {
    it(`asks once, and says so, if a session begins with ${first}`, async () => {
      let asked = 0;
      const strange = http.createServer((request, response) => {
        asked += 1;
        response.end(first);
      });
      await once(strange.listen(0, "127.0.0.1"), "listening");
      try {
        const address = `http://127.0.0.1:${strange.address().port}`;
        const socket = io(address, { forceNew: true, reconnection: false, transports: ["polling"] });
        open.push(socket);
        assert.equal((await next(socket, "connect_error"))[0].message, "server error");
        assert.equal(asked, 1);
      } finally {
        strange.closeAllConnections();
        strange.close();
      }
    });
  }

  it("stays with a server that pings once a month", async () => {
    const patient = http.createServer((request, response) => {
      if (request.method === "POST") response.end("ok");
      else if (!request.url.includes("sid=")) {
        response.end('0{"sid":"x","upgrades":[],"pingInterval":2592000000,"pingTimeout":20000}');
      } else setTimeout(() => response.end('40{"sid":"y"}'), 100);
    });
    await once(patient.listen(0, "127.0.0.1"), "listening");
    try {
      const address = `http://127.0.0.1:${patient.address().port}`;
      const socket = io(address, { forceNew: true, reconnection: false, transports: ["polling"] });
      open.push(socket);
      await next(socket, "connect");
      assert.equal(socket.id, "y");
    } finally {
      patient.closeAllConnections();
      patient.close();
    }
  });

  it("sends binary as text if asked to, and what is set for one transport only there", async () => {
    const transportOptions = { polling: { timestampParam: "stamp" } };
    for (const transport of ["websocket", "polling"]) {
      const socket = connect({ forceBase64: true, transports: [transport], transportOptions });
      const back = await socket.emitWithAck("ack", new Blob(["blob"]), 1);
      assert.deepEqual(bytes(back), [98, 108, 111, 98]);
      assert.equal(socket.io.engine.transport.query.b64, 1);
      assert.equal("stamp" in socket.io.engine.transport.query, transport === "polling");
    }
  });

  it("takes its query from the address or the options, as an object or a text", () => {
    const idle = { autoConnect: false, forceNew: true };
    assert.deepEqual(io(server.url + "/?a=1&b=%20", idle).io.opts.query, { a: "1", b: " " });
    const socket = connect({ query: "c=3&d" });
    assert.deepEqual(socket.io.engine.query, { c: "3", d: "" });
  });

  it("tells of packets by type and data, as the reference does", async () => {
    const socket = connect({ transports: ["websocket"] });
    const seen = [];
    const { engine } = socket.io;
    engine.on("packet", ({ type, data }) => seen.push([type, typeof data]));
    engine.on("packetCreate", ({ type, data }) => seen.push(["out", type, data]));
    await next(socket, "connect");
    assert.deepEqual(seen[0], ["open", "string"]);
    assert.deepEqual(seen[1], ["out", "message", "0"]);
    assert.deepEqual(seen[2], ["message", "string"]);
  });

  it("closes with the page, if asked to", async () => {
    const page = new EventTarget();
    globalThis.addEventListener = page.addEventListener.bind(page);
    globalThis.removeEventListener = page.removeEventListener.bind(page);
    try {
      const socket = connect({ closeOnBeforeunload: true, reconnection: false });
      await next(socket, "connect");
      page.dispatchEvent(new Event("beforeunload"));
      assert.equal(socket.connected, false);
      assert.deepEqual(socket.io.engine.readyState, "closed");
    } finally {
      delete globalThis.addEventListener;
      delete globalThis.removeEventListener;
    }
  });

  it("has options that may be changed later", () => {
    const { io: manager } = connect({ autoConnect: false });
    assert.equal(manager.reconnectionDelayMax(), 5000);
    assert.equal(manager.reconnection(false).reconnection(), false);
    assert.equal(manager.timeout(1).timeout(), 1);
  });

  it("gives up the attempt that waits when reconnection is switched off", async () => {
    const { io: manager } = io("http://127.0.0.1:1", { forceNew: true, reconnectionDelay: 20 });
    await new Promise((done) => manager.once("error", done));
    assert.equal(manager.reconnecting, true);
    manager.reconnection(false);
    assert.equal(manager.reconnecting, false);
    manager.on("reconnect_attempt", () => assert.fail("an attempt was made"));
    await new Promise((done) => setTimeout(done, 200));
  });

  it("takes one of two equal listeners off", () => {
    const socket = connect({ autoConnect: false });
    const listener = () => {};
    for (let n = 0; n < 2; n++) socket.on("x", listener).onAny(listener).onAnyOutgoing(listener);
    socket.off("x", listener).offAny(listener).offAnyOutgoing(listener);
    assert.equal(socket.listeners("x").length, 1);
    assert.equal(socket.listenersAny().length, 1);
    assert.equal(socket.listenersAnyOutgoing().length, 1);
    socket.off("x", listener).offAny().off("none", listener);
    assert.equal(socket.listeners("x").length + socket.listenersAny().length, 0);
  });

  it("waits longer each time, within the spread, and never longer than the most", () => {
    const { io: manager } = connect({ autoConnect: false, reconnectionDelay: 1000 });
    const bounds = [[500, 1500], [1000, 3000], [2000, 5000], [4000, 5000], [5000, 5000]];
    for (const [least, most] of bounds) {
      const delay = manager.delay();
      assert.ok(least <= delay && delay <= most, `${delay} is not in ${least}..${most}`);
    }
  });

  it("posts no more at once than the server takes", async () => {
    const socket = connect({ transports: ["polling"] });
    await next(socket, "connect");
    const { engine } = socket.io;
    engine.maxPayload = 1000;
    const sizes = [];
    const { fetch } = globalThis;
    globalThis.fetch = (target, init) => {
      if (init.method === "POST") sizes.push(Buffer.byteLength(init.body));
      return fetch(target, init);
    };
    try {
      for (let i = 0; i < 20; i++) socket.emit("echo", "€".repeat(60), new Uint8Array(30));
      await socket.emitWithAck("ack", 0);
    } finally {
      globalThis.fetch = fetch;
    }
    assert.ok(sizes.length > 3);
    assert.ok(Math.max(...sizes) <= 1000, String(sizes));
  });
});

suite("browser client, its sockets", "client", () => {
  it("is refused with the reason and the data that the server gives", async () => {
    const socket = connect({ auth: (give) => setTimeout(() => give({ token: "wrong" })) }, "/admin");
    const [error] = await next(socket, "connect_error");
    assert.equal(error.message, "not authorized");
    assert.deepEqual(error.data, { retry: false });
    assert.ok(!socket.active);
    socket.auth = { token: "secret" };
    socket.connect();
    await next(socket, "connect");
  });

  it("of an unknown namespace is refused", async () => {
    const [error] = await next(connect({}, "/nowhere"), "connect_error");
    assert.equal(error.message, "Invalid namespace");
  });

  it("shares its connection with the socket of another namespace, but not of its own", async () => {
    const first = io(server.url + "/custom");
    const second = io(server.url);
    const third = io(server.url);
    open.push(first, second, third);
    assert.equal(first.io, second.io);
    assert.notEqual(second.io, third.io);
    await Promise.all(open.map((socket) => socket.emitWithAck("ack", 0)));
  });

  it("says why it was disconnected", async () => {
    const socket = connect();
    await next(socket, "connect");
    socket.emit("leave me", false);
    assert.deepEqual(await next(socket, "disconnect"), ["io server disconnect", undefined]);
    assert.ok(!socket.active);
    socket.connect();
    await next(socket, "connect");
    const disconnected = next(socket, "disconnect");
    socket.disconnect();
    assert.equal((await disconnected)[0], "io client disconnect");
  });

  it("fails acknowledgements that come too late or never", async () => {
    const socket = connect();
    await next(socket, "connect");
    await assert.rejects(socket.timeout(30).emitWithAck("never"), /operation has timed out/);
    const lost = assert.rejects(socket.emitWithAck("never"), /socket has been disconnected/);
    socket.disconnect();
    await lost;
    await assert.rejects(socket.timeout(30).emitWithAck("buffered"), /operation has timed out/);
    assert.deepEqual(socket.sendBuffer, []);
    const [error, value] = await new Promise((resolve) => {
      socket.connect();
      socket.timeout(ANSWER_MS).emit("ack", "in time", (...args) => resolve(args));
    });
    assert.deepEqual([error, value], [null, "in time"]);
  });

  it("drops volatile events while it cannot send, and keeps the others", async () => {
    // On polling, and while it is upgraded, there are moments when nothing can be sent.
    const socket = connect({ autoConnect: false, transports: ["websocket"] });
    const seen = [];
    socket.on("echo back", (text) => seen.push(text));
    socket.volatile.emit("echo", "volatile");
    socket.emit("echo", "kept");
    socket.connect();
    await socket.emitWithAck("ack", 0);
    assert.deepEqual(seen, ["kept"]);
    socket.volatile.emit("echo", "idle");
    assert.deepEqual(await next(socket, "echo back"), ["idle"]);
  });

  it("shows all that comes and goes to those who listen to any", async () => {
    const socket = connect();
    const seen = [];
    socket.onAny((name, ...args) => seen.push(["in", name, args.length]));
    socket.onAnyOutgoing((name, ...args) => seen.push(["out", name, args.length]));
    socket.emit("echo", 1, 2);
    await next(socket, "echo back");
    assert.deepEqual(seen.slice(-3).sort(), [
      ["in", "auth", 1],
      ["in", "echo back", 2],
      ["out", "echo", 2],
    ]);
    socket.offAny();
    assert.deepEqual(socket.listenersAny(), []);
  });

  it("survives the mistakes of its listeners", async () => {
    const socket = connect();
    // What is thrown in a task of its own: taken here, or node:test would count it as a failure.
    const { setTimeout } = globalThis;
    const thrown = new Promise((resolve) => {
      globalThis.setTimeout = (task, ms) =>
        ms === undefined ? resolve(assert.throws(task, /mistake/)) : setTimeout(task, ms);
    });
    socket.once("echo back", () => {
      throw new Error("a mistake");
    });
    socket.emit("echo", 1);
    await thrown;
    globalThis.setTimeout = setTimeout;
    assert.equal(await socket.emitWithAck("ack", 2), 2);
  });

  it("sends an event again until it is acknowledged, and the next one only then", async () => {
    const socket = connect({ retries: 2, ackTimeout: ANSWER_MS });
    const sent = [];
    socket.onAnyOutgoing((name, value) => sent.push([name, value]));
    const never = assert.rejects(socket.timeout(40).emitWithAck("never", 1), /operation has timed out/);
    const answer = socket.emitWithAck("ack", 2);
    await never;
    assert.equal(await answer, 2);
    assert.deepEqual(sent, [["never", 1], ["never", 1], ["never", 1], ["ack", 2]]);
  });

  it("does not send again what was acknowledged, whatever with", async () => {
    const socket = connect({ retries: 3 });
    const sent = [];
    socket.onAnyOutgoing((name) => sent.push(name));
    assert.equal(await socket.emitWithAck("ack", "ok"), "ok");
    assert.deepEqual(sent, ["ack"]);
  });

  it("sends again what was not acknowledged when the connection was lost", async () => {
    const socket = connect({ retries: 1 });
    await next(socket, "connect");
    const answer = socket.emitWithAck("ack", "kept");
    socket.io.engine.finish("transport close");
    socket.volatile.emit("echo", "dropped");
    assert.equal(await answer, "kept");
    assert.deepEqual(socket.unconfirmed, []);
  });

  it("refuses reserved names", () => {
    assert.throws(() => connect().emit("connect"), /reserved/);
  });

  it("closes the connection on a packet that is none, and comes back", async () => {
    const socket = connect();
    await next(socket, "connect");
    for (const bad of ["9", "2{}", '2["connect"]', '21', "51-[", '51-["a"]x', "5[]", "0[]", "2[", "1[]"]) {
      const gone = next(socket, "disconnect");
      socket.io.message(bad);
      assert.equal((await gone)[0], "parse error", bad);
      await next(socket, "connect");
    }
    const gone = next(socket, "disconnect");
    socket.io.message('51-["a",{"_placeholder":true,"num":1}]');
    socket.io.message(new ArrayBuffer(1));
    assert.equal((await gone)[0], "parse error");
  });
});

suite("browser client, with the parser for MessagePack", "features-msgpack", () => {
  it("speaks through a parser of the page's choice", async () => {
    const { Encoder, Decoder } = require("socket.io-msgpack-parser");
    // In Node it reads a Buffer, where its edition for browsers reads an ArrayBuffer.
    class BufferDecoder extends Decoder {
      add(data) {
        super.add(Buffer.from(data));
      }
    }
    const socket = connect({ path: "/rt", parser: { Encoder, Decoder: BufferDecoder } });
    await next(socket, "connect");
    const [text, data] = await new Promise((resolve) => {
      socket.emit("echo", "é", new Uint8Array([1, 2]), (...values) => resolve(values));
    });
    assert.equal(text, "é");
    assert.deepEqual(Array.from(new Uint8Array(data)), [1, 2]);
    socket.disconnect();
  });
});

describe("browser client, how it is loaded", () => {
  it("needs an address where there is no page", () => {
    for (const address of [undefined, "/admin"]) assert.throws(() => io(address), /address of a server/);
  });

  it("knows one server by all the ways to write its address", () => {
    const idle = { autoConnect: false };
    const [first, ...others] = ["http://Host.example/a", "http://host.example:80/b", "ws://host.example/c"];
    const { io: manager } = io(first, idle);
    for (const other of others) assert.equal(io(other, idle).io, manager);
    assert.notEqual(io("https://host.example/a", idle).io, manager);
  });

  it("is a function with the names of the reference", () => {
    assert.deepEqual([io.io, io.connect, io.protocol], [io, io, 5]);
    assert.ok(new io.Manager("http://a", { autoConnect: false }).socket("/x") instanceof io.Socket);
  });
});

const beats = () => {
  for (const transport of ["polling", "websocket"]) {
    it(`is answered over ${transport}`, async () => {
      const socket = connect({ transports: [transport] });
      for (const _ of numbers(3)) await next(socket.io, "ping");
      socket.emit("message", transport);
      assert.deepEqual(await next(socket, "message-back"), [transport]);
    });
  }
};
suite("browser client, its heartbeat", "socketio", beats, { pingInterval: 300, pingTimeout: ANSWER_MS });

const silence = () => {
  it("is missed when the server hangs", async () => {
    const socket = connect();
    await next(socket, "connect");
    socket.io.engine.beat = () => {};
    assert.match((await next(socket, "disconnect"))[0], /^(ping timeout|transport close)$/);
    await next(socket, "connect");
  });
};
suite("browser client, a heartbeat that stops", "socketio", silence, { pingInterval: 300, pingTimeout: 200 });

if (process.env.REFERENCE !== "1") {
  suite("browser client, a server that recovers sessions", "features-recovery", () => {
    it("goes on where it was, and hands no offset to its listeners", async () => {
      const [socket, other] = [1, 2].map(() => connect({ path: "/rt", transports: ["websocket"] }));
      await Promise.all([next(socket, "connect"), next(other, "connect")]);
      await socket.emitWithAck("join", "r");
      const heard = [];
      const all = new Promise((resolve) => {
        socket.on("news", (...args) => heard.push(args) === 3 && resolve());
      });
      const { id } = socket;
      await other.emitWithAck("cast", { to: ["r"] }, 1, "text");
      const back = next(socket, "connect");
      socket.io.engine.close();
      await other.emitWithAck("cast", { to: ["r"] }, 2);
      await back;
      assert.ok(socket.recovered);
      assert.equal(socket.id, id);
      await other.emitWithAck("cast", { to: ["r"] }, "text");
      await all;
      assert.deepEqual(heard, [[1, "text"], [2], ["text"]]);
    });

    it("drops what a server repeats, by its offset", async () => {
      const [socket, other] = [1, 2].map(() => connect({ path: "/rt", transports: ["websocket"] }));
      await Promise.all([next(socket, "connect"), next(other, "connect")]);
      await socket.emitWithAck("join", "repeats");
      const heard = [];
      socket.on("news", (number) => heard.push(number));
      await other.emitWithAck("cast", { to: ["repeats"] }, 0);
      await socket.emitWithAck("join", "repeats"); // what came before its answer is here
      const early = socket.offset;
      for (const number of [1, 2]) await other.emitWithAck("cast", { to: ["repeats"] }, number);
      await socket.emitWithAck("join", "repeats");
      const send = socket.packet;
      socket.packet = (packet) => {
        if (packet.data && packet.data.offset) packet.data.offset = early;
        send.call(socket, packet);
      };
      const back = next(socket, "connect");
      socket.io.engine.close();
      await other.emitWithAck("cast", { to: ["repeats"] }, 3);
      await back;
      assert.ok(socket.recovered);
      await other.emitWithAck("cast", { to: ["repeats"] }, 4);
      await socket.emitWithAck("join", "repeats");
      assert.deepEqual(heard, [0, 1, 2, 3, 4]);
    });

    it("forgets what came before a CONNECT that was cut off: it comes again", async () => {
      const [socket, other] = [1, 2].map(() => connect({ path: "/rt", transports: ["websocket"] }));
      await Promise.all([next(socket, "connect"), next(other, "connect")]);
      await socket.emitWithAck("join", "cut");
      const heard = [];
      socket.on("news", (number) => heard.push(number));
      await other.emitWithAck("cast", { to: ["cut"] }, 0);
      await socket.emitWithAck("join", "cut");
      const receive = socket.receive;
      let cuts = 0;
      socket.receive = (packet) => {
        if (packet.type !== 0 || cuts++ > 1) return receive.call(socket, packet);
        assert.ok(socket.receiveBuffer.length);
        socket.io.engine.close();
      };
      const back = next(socket, "connect");
      socket.io.engine.close();
      for (const number of [1, 2]) await other.emitWithAck("cast", { to: ["cut"] }, number);
      await back;
      assert.ok(socket.recovered && cuts === 3);
      await socket.emitWithAck("join", "cut");
      assert.deepEqual(heard, [0, 1, 2]);
    });
  });
}
