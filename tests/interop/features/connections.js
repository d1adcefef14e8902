// How connections and namespaces begin and end.
"use strict";

const assert = require("node:assert/strict");
const { collect, next, startServer } = require("../harness");
const { PATH, ask, askUntil, settled } = require("./columns");

module.exports = {
  async "the handshake is told"(column) {
    const socket = await column.connect("/", { query: { colour: "red" } });
    const [hello] = await socket.hello;
    const { query, agent, address, secure, xdomain, issued } = hello;
    assert.deepEqual(
      { query, agent, address, secure, xdomain, issued },
      {
        query: "red",
        agent: true,
        address: "127.0.0.1",
        secure: false,
        xdomain: false,
        issued: true,
      },
    );
    assert.ok(socket.id.length >= 16);
  },

  async "credentials, a refusal with its data, and another try"(column) {
    const refused = column.socket("/admin", { credentials: { token: "guess" } });
    const error = await column.refused(refused);
    assert.deepEqual(column.old ? error : error.data, { retry: false });
    if (!column.old) assert.equal(error.message, "not authorized");
    const admin = await column.connect("/admin", { credentials: { token: "secret" } });
    assert.deepEqual(await ask(admin, "where"), ["/admin"]);
  },

  async "a namespace that nobody made"(column) {
    const error = await column.refused(column.socket("/nobody"));
    assert.equal(error.message, "Invalid namespace");
  },

  async "namespaces by a pattern and by a function, cleaned up when empty"(column) {
    const name = `/room-${Math.trunc(Math.random() * 1e9)}`;
    const room = await column.connect(name);
    assert.deepEqual(await ask(room, "where"), [name]);
    const user = await column.connect("/user-ann", { credentials: { token: "secret" } });
    assert.deepEqual(await ask(user, "where"), ["/user-ann"]);
    const watcher = await column.connect();
    room.close();
    await askUntil(watcher, (names) => !names.includes(name), "spaces");
  },

  async "several namespaces on one connection"(column) {
    const main = await column.connect("/", { forceNew: true });
    const side = main.io.socket("/room-1");
    if (!side.connected) await next(side, "connect");
    assert.equal(side.io.engine, main.io.engine);
    const answers = [ask(side, "where"), ask(main, "echo", 1)];
    assert.deepEqual(await Promise.all(answers), [["/room-1"], [1]]);
    side.close();
    await settled(main);
    assert.ok(main.connected);
  },

  async "what is sent before the answer arrives after it"(column) {
    const socket = column.socket();
    const answer = ask(socket, "echo", "early");
    assert.deepEqual(await answer, ["early"]);
  },

  async "heartbeats below a second"(column) {
    const socket = await column.connect();
    await collect(socket.io, "ping", 3);
    assert.ok(socket.connected);
  },

  async "the client leaves, and the server knows why"(column) {
    const [socket, watcher] = await column.many(2);
    await ask(socket, "join", "a", "b");
    const { id } = socket;
    socket.disconnect();
    const end = await askUntil(watcher, (value) => value.length === 2, "end of", id);
    assert.deepEqual(end, [["a", "b"], "client namespace disconnect"]);
  },

  async "the client's connection ends, and the server knows why"(column) {
    const [socket, watcher] = await column.many(2);
    const { id } = socket;
    socket.io.engine.close();
    const end = await askUntil(watcher, (value) => value.length === 2, "end of", id);
    assert.equal(end[1], "transport close");
  },

  async "the server ends one namespace, or the connection"(column) {
    for (const close of [false, true]) {
      const [socket, watcher] = await column.many(2);
      const { id } = socket;
      const gone = next(socket, "disconnect");
      socket.emit("leave me", close);
      assert.equal((await gone)[0], "io server disconnect");
      const end = await askUntil(watcher, (value) => value.length === 2, "end of", id);
      assert.equal(end[1], "server namespace disconnect");
    }
  },

  async "a message that is too long ends its connection alone"(column) {
    const [socket, watcher] = await column.many(2);
    const { id } = socket;
    const gone = next(socket, "disconnect");
    // The client would not send what is longer than the server takes.
    socket.io.engine.maxPayload = undefined;
    socket.emit("size", "x".repeat(3_000_000));
    assert.match((await gone)[0], /^transport (close|error)$/);
    const end = await askUntil(watcher, (value) => value.length === 2, "end of", id);
    assert.equal(end[1], "transport error");
  },

  async "hooks refuse a request, and connection_error is told"(column) {
    const watcher = await column.connect();
    for (const [name, code] of [["refuse", 4], ["teapot", 3]]) {
      const socket = column.socket("/", { query: { [name]: "1" } });
      await next(socket, "connect_error");
      const error = await askUntil(watcher, (value) => value[0] === code, "errors");
      assert.ok(error[1]);
    }
  },

  async "header fields and the cookie"(column) {
    const query = `EIO=${column.protocol}&transport=${column.transports[0]}`;
    const url = `${column.server.url}${PATH}/?${query}`;
    let headers;
    if (column.way === "websocket") {
      const { WebSocket } = require("ws");
      const socket = new WebSocket(url.replace("http", "ws"));
      const [response] = await next(socket, "upgrade");
      headers = new Headers(Object.entries(response.headers).map(([k, v]) => [k, String(v)]));
      socket.terminate();
    } else {
      headers = (await fetch(url)).headers;
    }
    assert.match(headers.get("set-cookie"), /^io=[\w-]{20,}; Path=\/; HttpOnly; SameSite=Lax$/);
    assert.deepEqual([headers.get("x-first"), headers.get("x-each")], ["1", "1"]);
  },

  async "the client comes back after the server restarts"(column) {
    let server = await startServer(column.mode);
    const socket = column.io(server.url, {
      path: PATH,
      transports: column.transports,
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 200,
      ...column.more,
    });
    column.sockets.push(socket);
    try {
      await next(socket, "connect");
      await column.upgraded(socket);
      const gone = next(socket, "disconnect");
      await server.stop();
      assert.match((await gone)[0], /^transport (close|error)$/);
      const back = next(socket, "connect");
      server = await startServer(column.mode, server.port);
      await back;
      assert.deepEqual(await ask(socket, "echo", "again"), ["again"]);
    } finally {
      socket.close();
      await server.stop();
    }
  },

  async "a session that was cut off goes on where it was"(column) {
    const server = await startServer(`${column.mode}-recovery`);
    const options = { path: PATH, transports: column.transports, forceNew: true, ...column.more };
    const again = { ...options, reconnectionDelay: 50 };
    const [socket, other] = [again, again].map((given) => column.io(server.url, given));
    column.sockets.push(socket, other);
    try {
      await Promise.all([next(socket, "connect"), next(other, "connect")]);
      await Promise.all([column.upgraded(socket), column.upgraded(other)]);
      await ask(socket, "join", "r");
      const { id } = socket;
      const heard = collect(socket, "news", 2);
      await ask(other, "cast", { to: ["r"] }, 1);
      const back = next(socket, "connect");
      socket.io.engine.close();
      await ask(other, "cast", { to: ["r"] }, 2);
      await back;
      // Behind the arguments stands the offset, by which the client says how far it came.
      assert.deepEqual((await heard).map(([value]) => value), [1, 2]);
      assert.ok(socket.recovered);
      assert.equal(socket.id, id);
    } finally {
      socket.close();
      other.close();
      await server.stop();
    }
  },
};
