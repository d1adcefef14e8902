// The nine columns: three clients, each on three ways to connect; and how each client is used.
"use strict";

const { ANSWER_MS, next } = require("../harness");

const PATH = "/rt";
const WAYS = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};
const CLIENTS = {
  "4.8": { io: require("socket.io-client").io, mode: "features" },
  msgpack: {
    io: require("socket.io-client").io,
    mode: "features-msgpack",
    more: { parser: require("socket.io-msgpack-parser") },
  },
  2.5: { io: require("socket.io-client-2"), mode: "features", old: true },
};

/** One client on one way: connects sockets, and closes them all in the end. */
class Column {
  constructor(client, way) {
    Object.assign(this, { client, way, transports: WAYS[way], sockets: [] });
    Object.assign(this, CLIENTS[client]);
    this.old = Boolean(this.old);
    this.protocol = this.old ? 3 : 4;
  }

  /** Make a socket; `credentials` are auth, or for the old client the namespace's query. */
  socket(namespace = "/", { credentials, ...options } = {}) {
    let url = this.server.url + namespace;
    if (this.old && credentials) url += `?${new URLSearchParams(credentials)}`;
    const socket = this.io(url, {
      path: PATH,
      transports: this.transports,
      forceNew: true,
      reconnection: false,
      ...this.more,
      ...(credentials && !this.old ? { auth: credentials } : {}),
      ...options,
    });
    this.sockets.push(socket);
    return socket;
  }

  /** Connect a socket, and wait for its upgrade if there is to be one. */
  async connect(namespace, options) {
    const socket = this.socket(namespace, options);
    socket.hello = namespace && namespace !== "/" ? null : next(socket, "hello");
    await next(socket, "connect");
    await this.upgraded(socket);
    return socket;
  }

  async upgraded(socket) {
    const engine = socket.io.engine;
    if (this.way === "upgrade" && engine.transport.name !== "websocket") {
      await next(engine, "upgrade");
    }
  }

  /** Connect several sockets. */
  many(count) {
    return Promise.all(Array.from({ length: count }, () => this.connect()));
  }

  /** Resolve to the error of a socket that is refused a namespace. */
  async refused(socket) {
    const [error] = await next(socket, this.old ? "error" : "connect_error");
    return error;
  }

  close() {
    for (const socket of this.sockets) {
      socket.close();
      socket.io.engine?.close();
    }
    this.sockets.length = 0;
  }
}

/** Resolve to the values of an acknowledgement. */
function ask(socket, name, ...args) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer to ${name}`)), ANSWER_MS);
    socket.emit(name, ...args, (...values) => {
      clearTimeout(timer);
      resolve(values);
    });
  });
}

/** Ask until the answer passes `done`; for what the server learns in its own time. */
async function askUntil(socket, done, ...question) {
  for (const end = Date.now() + ANSWER_MS; Date.now() < end; ) {
    const [value] = await ask(socket, ...question);
    if (done(value)) return value;
  }
  throw new Error(`${question} is never as it should be`);
}

/** Resolve when everything that the server sent before now has come. */
const settled = (...sockets) => Promise.all(sockets.map((socket) => ask(socket, "nothing")));

module.exports = { CLIENTS, Column, PATH, WAYS, ask, askUntil, settled };
