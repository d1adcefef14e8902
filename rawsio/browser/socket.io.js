/*
 * The browser client of rawsio: Socket.IO v5 over Engine.IO v4, in one file without a build step.
 *
 *   const socket = io();                          // the server that this page came from
 *   socket.on("chat message", (text) => ...);
 *   const reply = await socket.timeout(5000).emitWithAck("chat message", "hello");
 *
 * Theory of operation
 * ===================
 * The file is the pile of layers that the Python package is, seen from the other end:
 *
 *   io(url)      finds or makes the Manager for a server, and the Socket for a namespace
 *   Socket       one namespace: events, acknowledgements, what to keep while it is not connected
 *   Manager      one connection for many namespaces, opened again with growing delays
 *   parser       Socket.IO packets: `52-["file",{"_placeholder":true,"num":0},...]` + attachments
 *   Engine       one session: handshake, heartbeat, queue, the upgrade from polling to WebSocket
 *   transports   polling (GET to receive, POST to send) and WebSocket
 *
 * Two units pass between them.  An *Engine.IO packet* is a string whose first character is its type
 * ("0" open, "1" close, "2" ping, "3" pong, "4" message, "5" upgrade, "6" noop), or binary, which is
 * always a message.  A *Socket.IO packet* is an object {type, nsp, data, id}; the Encoder makes a
 * list of messages of it (the text, then the attachments), the Decoder turns messages into packets.
 *
 * The one idea: everything is delivered in order and at once, in the task that received it.  What a
 * listener of the page throws is reported by the browser as an uncaught error, but neither
 * stops the packets behind it nor closes the connection (see `Transport.deliver`).
 *
 * Names, options, events and reasons are those of the reference client (4.8), so its documentation
 * is the reference for this file too.  It is a script (which sets `io`), a CommonJS module, and
 * served as `socket.io.esm.min.js` an ES module.  Left out: WebTransport, JSONP, transports as
 * classes, and talking to version 2 servers (which is noticed, and reported by `connect_error`).
 * One thing is done better than there: `retries` works without `ackTimeout`, too.
 *
 * In Node (for tests) it wants `fetch` (Node 18) and, to use WebSocket, `globalThis.WebSocket`.
 */
(function (root) {
"use strict";

// ---- Listeners -----------------------------------------------------------------------------------

/** The list without its first item that fits: what was registered twice stays once. */
function withoutOne(list, fits) {
  const at = list.findIndex(fits);
  return at < 0 ? list : list.filter((_item, index) => index !== at);
}

class Emitter {
  constructor() {
    this._listeners = new Map();
  }

  on(name, fn) {
    if (!this._listeners.has(name)) this._listeners.set(name, []);
    this._listeners.get(name).push(fn);
    return this;
  }

  once(name, fn) {
    const once = (...args) => {
      this.off(name, once);
      fn.apply(this, args);
    };
    once.fn = fn; // so that off(name, fn) finds it
    return this.on(name, once);
  }

  /** off() forgets all listeners, off(name) those of an event, off(name, fn) one. */
  off(name, fn) {
    if (name === undefined) this._listeners.clear();
    else if (fn === undefined) this._listeners.delete(name);
    else this._listeners.set(name, withoutOne(this.listeners(name), (l) => l === fn || l.fn === fn));
    return this;
  }

  listeners(name) {
    return (this._listeners.get(name) || []).slice();
  }

  hasListeners(name) {
    return (this._listeners.get(name) || []).length > 0;
  }

  /** Calls the listeners.  A name of its own, because on a Socket `emit` sends. */
  fire(name, ...args) {
    for (const fn of this.listeners(name)) fn.apply(this, args);
    return this;
  }
}
Emitter.prototype.emit = Emitter.prototype.fire;
Emitter.prototype.addListener = Emitter.prototype.addEventListener = Emitter.prototype.on;
for (const name of ["removeListener", "removeEventListener", "removeAllListeners"]) {
  Emitter.prototype[name] = Emitter.prototype.off;
}

/** Listens, and returns the function that stops listening. */
function subscribe(emitter, name, fn) {
  emitter.on(name, fn);
  return () => emitter.off(name, fn);
}

// ---- Engine.IO packets as polling sends them: text, joined by 1E, binary in base64 behind a "b" ---

const SEPARATOR = "\x1e";

function isBlob(value) {
  return typeof Blob === "function" && value instanceof Blob;
}

function isBinary(value) {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value) || isBlob(value);
}

function toBase64(binary) {
  const bytes = ArrayBuffer.isView(binary)
    ? new Uint8Array(binary.buffer, binary.byteOffset, binary.byteLength)
    : new Uint8Array(binary);
  let text = "";
  // A call takes only so many arguments, therefore by pieces.
  for (let i = 0; i < bytes.length; i += 0x8000) {
    text += String.fromCharCode.apply(null, bytes.subarray(i, i + 0x8000));
  }
  return btoa(text);
}

function fromBase64(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}

/** The texts of some packets; a promise, because a Blob can be read only in time. */
function encodeTexts(packets) {
  const parts = packets.map(async (packet) => {
    if (typeof packet === "string") return packet;
    return "b" + toBase64(isBlob(packet) ? await packet.arrayBuffer() : packet);
  });
  return Promise.all(parts);
}

function decodePacket(text) {
  return text[0] === "b" ? fromBase64(text.slice(1)) : text;
}

const PACKET_TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];

/** A packet as listeners to the engine's `packet` and `packetCreate` get it. */
function describe(packet) {
  if (typeof packet !== "string") return { type: "message", data: packet };
  return { type: PACKET_TYPES[packet[0]] || "error", data: packet.slice(1) || undefined };
}

/** How many bytes a packet takes in a polling body, roughly: base64 makes four out of three. */
function payloadSize(packet) {
  if (typeof packet === "string") return new TextEncoder().encode(packet).length;
  return Math.ceil((packet.byteLength === undefined ? packet.size : packet.byteLength) * 1.34) + 1;
}

// ---- Transports ----------------------------------------------------------------------------------

function transportError(message, description, context) {
  const error = new Error(message);
  return Object.assign(error, { type: "TransportError", description, context });
}

/**
 * What both transports have.  The engine sets `onpacket(packet)`, `ondrain()` and
 * `onclose(reason, description)`, which is called at most once.  `onopen` is for WebSocket only.
 */
class Transport {
  constructor(engine) {
    this.engine = engine;
    this.opts = Object.assign({}, engine.opts, (engine.opts.transportOptions || {})[this.name]);
    this.query = Object.assign({}, engine.query, { EIO: 4, transport: this.name });
    if (engine.id) this.query.sid = engine.id;
    if (this.opts.forceBase64) this.query.b64 = 1;
    this.writable = false;
    this.closed = false;
    this.discard();
  }

  /** Forgets the engine: from now on, nothing that happens here is heard of. */
  discard() {
    this.onopen = this.onpacket = this.ondrain = this.onclose = () => {};
  }

  url(scheme) {
    const { secure, host, path } = this.engine;
    if (this.stamped()) {
      const random = Math.random().toString(36).slice(2, 5);
      this.query[this.opts.timestampParam || "t"] = Date.now().toString(36).slice(-6) + random;
    }
    const pairs = Object.keys(this.query).map(
      (key) => encodeURIComponent(key) + "=" + encodeURIComponent(this.query[key])
    );
    return scheme + (secure ? "s" : "") + "://" + host + path + "?" + pairs.join("&");
  }

  deliver(packet) {
    try {
      this.onpacket(packet);
    } catch (error) {
      // A listener of the page failed.  Report it as what it is; the next packet comes all the same.
      setTimeout(() => {
        throw error;
      });
    }
  }

  end(reason, description) {
    if (this.closed) return;
    this.closed = true;
    this.writable = false;
    this.onclose(reason, description);
  }
}

/** GET waits for packets, POST sends some.  Never two of a kind at a time. */
class Polling extends Transport {
  get name() {
    return "polling";
  }

  open() {
    this.aborter = new AbortController();
    this.polling = false;
    this.posting = false;
    this.onpaused = null;
    this.poll();
  }

  /** Polls all have an address of their own, or a cache between might answer them. */
  stamped() {
    return this.opts.timestampRequests !== false;
  }

  async poll() {
    this.polling = true;
    let packets;
    try {
      packets = (await this.request("GET")).split(SEPARATOR).map(decodePacket);
    } catch (error) {
      return this.fail("xhr poll error", error);
    }
    this.polling = false;
    for (const packet of packets) {
      if (!this.closed) this.deliver(packet);
    }
    if (this.onpaused) this.checkPaused();
    else if (!this.closed) this.poll();
  }

  async write(packets) {
    this.writable = false;
    this.posting = true;
    try {
      await this.request("POST", (await encodeTexts(packets)).join(SEPARATOR));
    } catch (error) {
      return this.fail("xhr post error", error);
    }
    this.posting = false;
    if (this.closed) return;
    this.writable = true;
    this.checkPaused();
    this.ondrain();
  }

  /** Lets the running requests end and starts no others; for the upgrade. */
  pause(done) {
    this.onpaused = done;
    this.checkPaused();
  }

  checkPaused() {
    if (!this.onpaused || this.polling || this.posting || this.closed) return;
    const done = this.onpaused;
    this.onpaused = () => {};
    done();
  }

  async request(method, body) {
    const headers = Object.assign({}, this.opts.extraHeaders);
    if (body !== undefined) headers["Content-Type"] = "text/plain;charset=UTF-8";
    const { requestTimeout } = this.opts;
    const timer = requestTimeout && setTimeout(() => this.aborter.abort(), requestTimeout);
    try {
      const response = await root.fetch(this.url("http"), {
        method,
        body,
        headers,
        cache: "no-store",
        credentials: this.opts.withCredentials ? "include" : "same-origin",
        signal: this.aborter.signal,
      });
      const text = await response.text();
      const { status } = response;
      if (status !== 200) throw Object.assign(new Error("status " + status), { status, text });
      return text;
    } finally {
      clearTimeout(timer);
    }
  }

  fail(message, cause) {
    if (this.closed) return;
    this.end("transport error", transportError(message, cause.status || 0, cause));
    this.aborter.abort();
  }

  /**
   * Tells the server with a last POST.  The waiting GET is cut only after it: a server takes a poll
   * that breaks off for an error.  A session that is gone anyway needs no goodbye.
   */
  close(goodbye) {
    if (this.closed) return;
    this.closed = true;
    this.writable = false;
    const abort = () => this.aborter.abort();
    if (goodbye && this.query.sid) this.request("POST", "1").then(abort, abort);
    else abort();
  }
}

class WebSocketTransport extends Transport {
  get name() {
    return "websocket";
  }

  stamped() {
    return this.opts.timestampRequests === true;
  }

  open() {
    try {
      this.ws = new root.WebSocket(this.url("ws"), this.opts.protocols || []);
    } catch (error) {
      // An address that the browser refuses; told later, as every other failure is.
      Promise.resolve().then(() => this.end("transport error", transportError(error.message, error)));
      return;
    }
    this.ws.binaryType = "arraybuffer";
    this.ws.onopen = () => {
      this.writable = true;
      this.onopen();
    };
    this.ws.onmessage = (event) => {
      const data = event.data;
      if (!this.closed) this.deliver(typeof data === "string" ? decodePacket(data) : data);
    };
    this.ws.onclose = (event) => this.end("transport close", event);
    this.ws.onerror = (event) =>
      this.end("transport error", transportError("websocket error", event));
  }

  /** "Writable" again after this turn, so that packets emitted together are queued together. */
  write(packets) {
    this.writable = false;
    const encoded = this.opts.forceBase64 ? encodeTexts(packets) : Promise.resolve();
    if (!this.opts.forceBase64) for (const packet of packets) this.ws.send(packet);
    encoded.then((texts) => {
      if (this.closed) return;
      for (const text of texts || []) this.ws.send(text);
      this.writable = true;
      this.ondrain();
    });
  }

  close() {
    this.closed = true;
    this.writable = false;
    if (!this.ws) return;
    this.ws.onopen = this.ws.onmessage = this.ws.onclose = null;
    this.ws.onerror = () => {};
    this.ws.close();
  }
}

const TRANSPORTS = { polling: Polling, websocket: WebSocketTransport };

// ---- Engine: one Engine.IO session ---------------------------------------------------------------

const LONGEST_TIMER = 2 ** 31 - 1; // milliseconds; one that is set to more is due at once

/** Whether an open packet says what a session needs. */
function isHandshake(data) {
  if (!isObject(data) || typeof data.sid !== "string") return false;
  const times = [data.pingInterval, data.pingTimeout];
  return Array.isArray(data.upgrades || []) && times.every((time) => typeof time === "number" && time >= 0);
}

let webSocketWorked = false; // what `rememberUpgrade` remembers

/**
 * Events: open, ping, message(data), packet({type, data}), packetCreate({type, data}), drain,
 * upgrade(transport), upgradeError, error, close(reason, description).
 */
class Engine extends Emitter {
  constructor(address, opts) {
    super();
    this.opts = opts;
    this.secure = address.secure;
    this.host = address.host;
    this.path = (opts.path || "/socket.io").replace(/\/$/, "");
    if (opts.addTrailingSlash !== false) this.path += "/";
    this.query = typeof opts.query === "string" ? parseQuery(opts.query) : opts.query;
    this.names = (opts.transports || ["polling", "websocket"]).filter(
      (name) => TRANSPORTS[name] && (name !== "websocket" || root.WebSocket)
    );
    this.readyState = "opening"; // then open, closing, closed
    this.id = null;
    this.upgrading = false;
    this.writeBuffer = [];
    this.probe = null;
    this.pageEvents = {}; // what we listen to on the page: name -> listener
    this.start();
  }

  start() {
    if (this.names.length === 0) {
      Promise.resolve().then(() => this.finish("transport error", new Error("No transports available")));
      return;
    }
    const remembered = this.opts.rememberUpgrade && webSocketWorked && this.names.includes("websocket");
    this.adopt(this.create(remembered ? "websocket" : this.names[0]));
    this.transport.open();
    // A laptop that lost its network learns of it only by the missing heartbeat; the browser knows.
    if (!/^(localhost|127\.|\[::1\])/.test(this.host)) {
      this.pageEvents.offline = () =>
        this.finish("transport close", { description: "network connection lost" });
    }
    if (this.opts.closeOnBeforeunload) this.pageEvents.beforeunload = () => this.finish("forced close");
    if (typeof root.addEventListener !== "function") return;
    for (const name of Object.keys(this.pageEvents)) root.addEventListener(name, this.pageEvents[name]);
  }

  create(name) {
    return new TRANSPORTS[name](this);
  }

  adopt(transport) {
    this.transport = transport;
    transport.onpacket = (packet) => this.receive(packet);
    transport.ondrain = () => this.flush();
    transport.onclose = (reason, description) => this.lost(reason, description);
  }

  lost(reason, description) {
    if (this.readyState === "opening" && this.opts.tryAllTransports && this.names.length > 1) {
      this.names.shift();
      this.adopt(this.create(this.names[0]));
      this.transport.open();
      return;
    }
    this.finish(reason, description);
  }

  receive(packet) {
    if (this.readyState === "closed") return;
    if (this.hasListeners("packet")) this.fire("packet", describe(packet));
    const type = typeof packet === "string" ? packet[0] : "4";
    if (this.readyState === "opening") this.handshake(packet, type);
    else if (type === "4") this.fire("message", typeof packet === "string" ? packet.slice(1) : packet);
    else if (type === "2") this.beat();
    else if (type === "1") this.finish("transport close", { description: "closed by the server" });
    else if (type !== "6") this.finish("transport error", new Error("server error"));
  }

  handshake(packet, type) {
    let data;
    try {
      data = type === "0" ? JSON.parse(packet.slice(1)) : null;
    } catch (error) {
      data = null;
    }
    if (!isHandshake(data)) return this.finish("transport error", new Error("server error"));
    this.id = this.transport.query.sid = data.sid;
    this.upgrades = (data.upgrades || []).filter((name) => this.names.includes(name));
    this.patience = Math.min(data.pingInterval + data.pingTimeout, LONGEST_TIMER);
    this.maxPayload = data.maxPayload;
    this.readyState = "open";
    this.transport.writable = true;
    webSocketWorked = this.transport.name === "websocket";
    this.wait();
    this.fire("open");
    this.flush();
    if (this.opts.upgrade === false || this.readyState !== "open") return;
    if (this.transport.name === "polling" && this.upgrades.includes("websocket")) this.startProbe();
  }

  // Heartbeat: the server pings, we answer; when no ping comes, the connection is gone.

  wait() {
    clearTimeout(this.timer);
    this.pingDeadline = Date.now() + this.patience;
    this.timer = setTimeout(() => this.finish("ping timeout"), this.patience);
  }

  beat() {
    this.fire("ping");
    this.write("3");
    this.wait();
  }

  /** Whether the time is over although its timer had no turn yet (a laptop that was asleep). */
  hasPingExpired() {
    if (!this.pingDeadline || Date.now() <= this.pingDeadline) return false;
    setTimeout(() => this.finish("ping timeout"));
    return true;
  }

  // The queue

  write(packet) {
    if (this.readyState === "closing" || this.readyState === "closed") return;
    if (this.hasListeners("packetCreate")) this.fire("packetCreate", describe(packet));
    this.writeBuffer.push(packet);
    this.flush();
  }

  flush() {
    if (this.readyState !== "open" && this.readyState !== "closing") return;
    if (!this.transport.writable || this.upgrading) return;
    if (this.writeBuffer.length) return this.transport.write(this.takeBatch());
    if (this.readyState === "closing") return this.finish("forced close");
    this.fire("drain");
  }

  /** The packets for one write: all of them, but no polling body larger than the server takes. */
  takeBatch() {
    const buffer = this.writeBuffer;
    if (!this.maxPayload || this.transport.name !== "polling") return buffer.splice(0);
    let count = 1; // the first goes in any case; the server decides
    let size = payloadSize(buffer[0]);
    while (count < buffer.length) {
      size += 1 + payloadSize(buffer[count]);
      if (size > this.maxPayload) break;
      count++;
    }
    return buffer.splice(0, count);
  }

  /**
   * The upgrade: `2probe` there and `3probe` back show that the WebSocket works; then polling comes
   * to rest, so that nothing overtakes, and `5` moves the session.  Until then all stays as it is,
   * and if the WebSocket fails, it stays so.
   */
  startProbe() {
    const probe = (this.probe = this.create("websocket"));
    const failed = (reason, description) => {
      if (this.probe !== probe) return;
      this.dropProbe();
      this.fire("upgradeError", description instanceof Error ? description : new Error("probe error"));
      this.flush();
    };
    probe.onclose = failed;
    probe.onopen = () => probe.ws.send("2probe");
    probe.onpacket = (packet) => {
      if (packet !== "3probe") {
        probe.close();
        return failed();
      }
      this.upgrading = true;
      this.fire("upgrading", probe);
      this.transport.pause(() => this.swap(probe));
    };
    probe.open();
  }

  swap(probe) {
    if (this.probe !== probe) return; // it failed while polling came to rest
    this.probe = null;
    this.transport.closed = true; // at rest: there is nothing to close, and nothing to tell
    this.transport.discard();
    this.adopt(probe);
    probe.ws.send("5");
    this.upgrading = false;
    webSocketWorked = true;
    this.fire("upgrade", probe);
    this.flush();
  }

  dropProbe() {
    const resting = this.upgrading && this.transport.onpaused;
    this.upgrading = false;
    this.probe = null;
    if (!resting) return;
    this.transport.onpaused = null;
    if (!this.transport.polling && !this.transport.closed) this.transport.poll();
  }

  /** Closes when all that was written has left. */
  close() {
    if (this.readyState === "opening") this.finish("forced close");
    else if (this.readyState === "open") {
      this.readyState = "closing";
      this.flush();
    }
    return this;
  }

  finish(reason, description) {
    if (this.readyState === "closed") return;
    const failed = reason === "transport error";
    this.readyState = "closed";
    clearTimeout(this.timer);
    if (typeof root.removeEventListener === "function") {
      for (const name of Object.keys(this.pageEvents)) root.removeEventListener(name, this.pageEvents[name]);
    }
    if (failed) webSocketWorked = false;
    for (const transport of [this.transport, this.probe]) {
      if (!transport) continue;
      transport.discard();
      transport.close(reason === "forced close");
    }
    this.probe = null;
    this.upgrading = false;
    this.writeBuffer = [];
    if (failed) this.fire("error", description);
    this.fire("close", reason, description);
  }
}

// ---- Socket.IO packets:  <type>[<attachments>-][<namespace>,][<ack id>][JSON] --------------------

const CONNECT = 0;
const DISCONNECT = 1;
const EVENT = 2;
const ACK = 3;
const CONNECT_ERROR = 4;
const BINARY = 3; // what EVENT and ACK become with attachments: BINARY_EVENT 5, BINARY_ACK 6
const MAX_ATTACHMENTS = 1000;

/** Names that the library itself raises; a packet must not be able to. */
const RESERVED = [
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
];

/**
 * The messages of a packet: a text, then its attachments.  `this[key]` is the value before its
 * `toJSON` was asked, which is how a Buffer of Node is seen as what it is.
 */
function encode(packet) {
  const attachments = [];
  let json = "";
  if (packet.data !== undefined) {
    json = JSON.stringify(packet.data, function (key, value) {
      const raw = this[key];
      if (!raw || typeof raw !== "object" || !isBinary(raw)) return value;
      return { _placeholder: true, num: attachments.push(raw) - 1 };
    });
  }
  let text = String(packet.type);
  if (attachments.length) text = `${packet.type + BINARY}${attachments.length}-`;
  if (packet.nsp !== "/") text += packet.nsp + ",";
  if (packet.id !== undefined) text += packet.id;
  return [text + json].concat(attachments);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPayload(type, data) {
  if (type === CONNECT) return data === undefined || isObject(data);
  if (type === DISCONNECT) return data === undefined;
  if (type === CONNECT_ERROR) return typeof data === "string" || isObject(data);
  if (!Array.isArray(data)) return false;
  if (type === ACK) return true;
  return typeof data[0] === "number" || (typeof data[0] === "string" && !RESERVED.includes(data[0]));
}

const HEAD = /^([0-6])(?:(\d{1,4})-)?(?:(\/[^,]*)(?:,|$))?(\d{1,15})?/;

function decode(text) {
  const head = HEAD.exec(text);
  if (!head) throw new Error("unknown packet type");
  let type = Number(head[1]);
  const attachments = Number(head[2] || 0);
  const binary = type > CONNECT_ERROR;
  if (binary !== attachments > 0 || attachments > MAX_ATTACHMENTS) {
    throw new Error("illegal attachments");
  }
  if (binary) type -= BINARY;
  const json = text.slice(head[0].length);
  const data = json ? JSON.parse(json) : undefined;
  if (!isPayload(type, data)) throw new Error("invalid payload");
  const id = head[4] === undefined ? undefined : Number(head[4]);
  return { type, nsp: head[3] || "/", data, id, attachments };
}

/** Puts the attachments back where their placeholders stand. */
function restore(value, buffers) {
  if (typeof value !== "object" || value === null) return value;
  if (value._placeholder === true) {
    if (!Number.isInteger(value.num) || !(value.num in buffers)) throw new Error("illegal attachments");
    return buffers[value.num];
  }
  for (const key of Object.keys(value)) value[key] = restore(value[key], buffers);
  return value;
}

class Encoder {
  encode(packet) {
    return encode(packet);
  }
}

/** Collects messages into packets: event `decoded` once a packet has all its attachments. */
class Decoder extends Emitter {
  constructor() {
    super();
    this.packet = null;
    this.buffers = [];
  }

  add(message) {
    if (typeof message === "string") {
      if (this.packet) throw new Error("got plaintext data when reconstructing a packet");
      const packet = decode(message);
      if (!packet.attachments) return this.fire("decoded", packet);
      this.packet = packet;
      this.buffers = [];
      return this;
    }
    const packet = this.packet;
    if (!packet) throw new Error("got binary data when not reconstructing a packet");
    this.buffers.push(message);
    if (this.buffers.length < packet.attachments) return this;
    this.packet = null;
    packet.data = restore(packet.data, this.buffers);
    return this.fire("decoded", packet);
  }

  destroy() {
    this.packet = null;
  }
}

const PARSER = { Encoder, Decoder }; // what the option `parser` may replace

// ---- Socket: one namespace -----------------------------------------------------------------------

/**
 * Whether a server repeats an event that is not newer than the offset seen last.  Offsets of a
 * rawsio server are ordered: a number behind a dot, the longer one is the larger.
 */
function wasSeen(args, seen) {
  const offset = args[args.length - 1];
  if (seen === undefined || args.length < 2 || typeof offset !== "string") return false;
  const [[run, number], [known, last]] = [offset, seen].map((text) => text.split("."));
  if (run !== known || !number || !last) return false;
  return number.length < last.length || (number.length === last.length && number <= last);
}

class Socket extends Emitter {
  constructor(manager, nsp, opts) {
    super();
    this.io = manager;
    this.nsp = nsp;
    this.opts = Object.assign({}, opts);
    this.auth = this.opts.auth;
    this.id = undefined;
    this.connected = false;
    this.recovered = false;
    this.sendBuffer = [];
    this.receiveBuffer = [];
    this.acks = new Map();
    this.ids = 0;
    this.flags = {};
    this.unconfirmed = []; // events that the option `retries` sends one after the other
    this.subs = null; // subscriptions to the manager: while there are some, we want a connection
    this._Any = [];
    this._AnyOutgoing = [];
    if (manager.opts.autoConnect !== false) this.connect();
  }

  get disconnected() {
    return !this.connected;
  }

  get active() {
    return this.subs !== null;
  }

  connect() {
    if (this.connected) return this;
    if (!this.subs) {
      this.subs = [
        subscribe(this.io, "open", () => this.join()),
        subscribe(this.io, "packet", (packet) => this.receive(packet)),
        subscribe(this.io, "error", (error) => this.connected || this.fire("connect_error", error)),
        subscribe(this.io, "close", (reason, description) => this.closed(reason, description)),
      ];
    }
    if (!this.io.reconnecting) this.io.open();
    if (this.io.readyState === "open") this.join();
    return this;
  }

  /** Sends CONNECT.  `pid` and `offset` ask the server for what was missed since the cut. */
  join() {
    const connect = (auth) => {
      const session = this.pid ? { pid: this.pid, offset: this.offset } : undefined;
      this.packet({ type: CONNECT, data: session ? Object.assign(session, auth) : auth });
    };
    if (typeof this.auth === "function") this.auth(connect);
    else connect(this.auth);
  }

  packet(packet) {
    packet.nsp = this.nsp;
    this.io.write(packet);
  }

  // Sending

  get volatile() {
    this.flags.volatile = true;
    return this;
  }

  timeout(milliseconds) {
    this.flags.timeout = milliseconds;
    return this;
  }

  compress(compress) {
    this.flags.compress = compress; // for the interface only: a browser decides this by itself
    return this;
  }

  send(...args) {
    return this.emit("message", ...args);
  }

  /** Sends an event; a function as last argument is called with the acknowledgement. */
  emit(name, ...args) {
    if (RESERVED.includes(name)) throw new Error('"' + name + '" is a reserved event name');
    const flags = this.flags;
    this.flags = {};
    if (this.opts.retries && !flags.volatile) this.enqueue(name, args, flags);
    else this.transmit(name, args, flags);
    return this;
  }

  transmit(name, args, flags) {
    const packet = { type: EVENT, data: [name].concat(args) };
    if (typeof args[args.length - 1] === "function") {
      packet.id = this.ids++;
      this.expectAck(packet, packet.data.pop(), flags);
    }
    const engine = this.io.engine;
    const writable = engine && engine.transport && engine.transport.writable;
    if (flags.volatile && !writable) return;
    if (this.connected && !engine.hasPingExpired()) this.sendEvent(packet);
    else this.sendBuffer.push(packet);
  }

  /** A durable queue of a rawsio server. */
  queue(name) {
    return new Queue(this, name);
  }

  /** The same as a promise; it is rejected when the time is over or the connection lost. */
  emitWithAck(name, ...args) {
    return new Promise((resolve, reject) => {
      const settle = (error, value) => (error ? reject(error) : resolve(value));
      settle.withError = true;
      this.emit(name, ...args, settle);
    });
  }

  // Retries: an event is sent again until it is acknowledged, and the next one only after it, so
  // that they arrive in order.  The server may see one twice: it has no number that would tell.

  enqueue(name, args, flags) {
    const fn = typeof args[args.length - 1] === "function" ? args.pop() : () => {};
    this.unconfirmed.push({ name, args, flags, fn, tries: 0, pending: false });
    this.drain();
  }

  /** Sends the first of the queue; `again` because the connection is a new one. */
  drain(again) {
    const head = this.unconfirmed[0];
    if (!head || !this.connected || (head.pending && !again)) return;
    head.pending = true;
    head.tries++;
    const answered = (error, ...values) => {
      if (head !== this.unconfirmed[0]) return;
      head.pending = false;
      if (!error || head.tries > this.opts.retries) {
        this.unconfirmed.shift();
        head.fn.call(this, error, ...values);
      }
      this.drain();
    };
    answered.withError = true;
    this.transmit(head.name, head.args.concat(answered), head.flags);
  }

  sendEvent(packet) {
    for (const fn of this._AnyOutgoing.slice()) fn.apply(this, packet.data);
    this.packet(packet);
  }

  expectAck(packet, fn, flags) {
    const timeout = flags.timeout === undefined ? this.opts.ackTimeout : flags.timeout;
    const ack = { fn, withError: timeout !== undefined || fn.withError === true, timer: undefined };
    this.acks.set(packet.id, ack);
    if (timeout === undefined) return;
    ack.timer = setTimeout(() => {
      this.acks.delete(packet.id);
      this.sendBuffer = this.sendBuffer.filter((waiting) => waiting !== packet);
      fn.call(this, new Error("operation has timed out"));
    }, timeout);
  }

  /** After a cut: who asked to be told of errors is; what was not sent yet may still be answered. */
  dropAcks() {
    for (const [id, ack] of Array.from(this.acks)) {
      if (this.sendBuffer.some((packet) => packet.id === id)) continue;
      this.acks.delete(id);
      clearTimeout(ack.timer);
      if (ack.withError) ack.fn.call(this, new Error("socket has been disconnected"));
    }
  }

  // Receiving

  receive(packet) {
    if (packet.nsp !== this.nsp) return;
    if (packet.type === EVENT) this.receiveEvent(packet);
    else if (packet.type === ACK) this.receiveAck(packet);
    else if (packet.type === CONNECT) this.joined(packet.data);
    else if (packet.type === DISCONNECT) {
      this.unsubscribe();
      this.closed("io server disconnect");
    } else this.refused(packet.data);
  }

  joined(data) {
    if (!data || !data.sid) {
      const why = "the server speaks version 2 of Socket.IO, which this client does not";
      return this.fire("connect_error", new Error(why));
    }
    this.id = data.sid;
    this.recovered = data.pid !== undefined && data.pid === this.pid;
    const seen = this.recovered && this.marked ? this.offset : undefined;
    this.pid = data.pid;
    this.marked = typeof data.offset === "string"; // every event without an id ends with an offset
    if (this.marked) this.offset = data.offset;
    this.connected = true;
    for (const args of this.receiveBuffer.splice(0)) if (!wasSeen(args, seen)) this.dispatch(args);
    for (const packet of this.sendBuffer.splice(0)) this.sendEvent(packet);
    this.drain(true);
    this.fire("connect");
  }

  refused(data) {
    this.unsubscribe();
    const error = new Error(typeof data === "string" ? data : data.message);
    error.data = data.data;
    this.fire("connect_error", error);
  }

  receiveEvent(packet) {
    const args = packet.data;
    if (packet.id !== undefined) args.push(this.answer(packet.id));
    if (this.connected) this.dispatch(args);
    else this.receiveBuffer.push(args); // it may come before CONNECT, after a recovery for example
  }

  dispatch(args) {
    const last = args[args.length - 1];
    if (this.pid && args.length > 1 && typeof last === "string") {
      this.offset = last; // or any text: other servers do not say which events have one
      if (this.marked) args.pop();
    }
    for (const fn of this._Any.slice()) fn.apply(this, args);
    this.fire(...args);
  }

  /** The function that a listener calls to acknowledge; only the first call counts. */
  answer(id) {
    let sent = false;
    return (...args) => {
      if (!sent) this.packet({ type: ACK, id, data: args });
      sent = true;
    };
  }

  receiveAck(packet) {
    const ack = this.acks.get(packet.id);
    if (!ack) return;
    this.acks.delete(packet.id);
    clearTimeout(ack.timer);
    ack.fn.apply(this, ack.withError ? [null].concat(packet.data) : packet.data);
  }

  // Leaving

  disconnect() {
    if (this.connected) this.packet({ type: DISCONNECT });
    this.unsubscribe();
    if (this.connected) this.closed("io client disconnect");
    return this;
  }

  unsubscribe() {
    if (!this.subs) return;
    for (const stop of this.subs) stop();
    this.subs = null;
    this.io.release();
  }

  closed(reason, description) {
    this.connected = false;
    this.id = undefined;
    this.receiveBuffer = []; // what came before a CONNECT that did not: it will be sent again
    this.fire("disconnect", reason, description);
    this.dropAcks();
  }
}
// Listeners to all events: onAny, prependAny, offAny, listenersAny, and the same for AnyOutgoing.
for (const name of ["Any", "AnyOutgoing"]) {
  Object.assign(Socket.prototype, {
    ["on" + name](fn) {
      this["_" + name].push(fn);
      return this;
    },
    ["prepend" + name](fn) {
      this["_" + name].unshift(fn);
      return this;
    },
    ["off" + name](fn) {
      const left = withoutOne(this["_" + name], (other) => other === fn);
      this["_" + name] = fn === undefined ? [] : left;
      return this;
    },
    ["listeners" + name]() {
      return this["_" + name].slice();
    },
  });
}
Socket.prototype.open = Socket.prototype.connect;
Socket.prototype.close = Socket.prototype.disconnect;

// ---- Durable queues ------------------------------------------------------------------------------

/**
 * A queue of a rawsio server (`io.queue("jobs", namespace="/queue")`), through a socket of that
 * namespace.  It is sugar over events that every client has:
 *
 *   const jobs = io("/queue").queue("jobs");
 *   const { id } = await jobs.publish({ pic: 7 }, { key: "pic-7" });  // after the commit
 *   jobs.handler(async (message) => resize(message.body), { credit: 10 });
 *
 * That the handler returns, or its promise is fulfilled, acknowledges the message; what it throws
 * gives it back (as a dead letter, if the error has a property `dead`).  It goes on after a
 * reconnection.
 */
class Queue {
  constructor(socket, name) {
    this.socket = socket;
    this.name = name;
  }

  /** Sends a request; rejects with `code` and message of a refusal, or when the answer is lost. */
  ask(request, ...args) {
    return new Promise((resolve, reject) => {
      const settle = (error, refusal, value) => {
        if (error) reject(error);
        else if (refusal) reject(Object.assign(new Error(refusal.message), { code: refusal.code }));
        else resolve(value);
      };
      settle.withError = true;
      this.socket.emit(request, ...args, settle);
    });
  }

  /** Options: key, delay, priority, group, expires (times in seconds). */
  publish(body, options) {
    return this.ask("publish", this.name, body, options || {});
  }

  /** Takes [[body, options], ...]; resolves to a list of {id} or {code, message}, by position. */
  publishMany(items) {
    return this.ask("publish_many", this.name, items);
  }

  /** Calls fn(message), or with options.batch above 1 fn(messages).  Also: credit, lease, linger. */
  handler(fn, options) {
    const many = Boolean(options && options.batch > 1);
    this.socket.on(many ? "messages" : "message", async (given, ack) => {
      if ((many ? given[0] : given).queue !== this.name) return;
      let answer = null;
      try {
        await fn(given);
      } catch (error) {
        answer = { error: String((error && error.message) || error) };
        if (error && error.dead) answer.dead = true;
      }
      ack(answer && many ? given.map(() => answer) : answer);
    });
    const consume = () =>
      this.ask("consume", this.name, options || {}).catch((error) => {
        if (error.code) console.error("queue " + this.name + ": " + error.message);
      });
    this.socket.on("connect", consume);
    if (this.socket.connected) consume();
    return this;
  }
}
for (const request of ["stats", "peek", "purge", "redrive"]) {
  Queue.prototype[request] = function (...args) {
    return this.ask(request, this.name, ...args);
  };
}

// ---- Manager: one connection, kept up ------------------------------------------------------------

/**
 * Events: open, error, ping, packet, close(reason), reconnect_attempt(n), reconnect(n),
 * reconnect_error(error), reconnect_failed.
 */
class Manager extends Emitter {
  constructor(uri, opts) {
    super();
    if (isObject(uri)) {
      opts = uri;
      uri = undefined;
    }
    this.uri = uri;
    this.address = parseAddress(uri);
    this.opts = Object.assign({ path: "/socket.io" }, opts);
    if (!this.opts.query && this.address.query) this.opts.query = this.address.query;
    this.nsps = {};
    this.readyState = "closed"; // opening, open
    this.reconnecting = false;
    this.stopped = false; // closed on purpose: do not come back
    this.attempts = 0;
    this.parser = this.opts.parser || PARSER;
    this.encoder = new this.parser.Encoder();
    this.subs = [];
    if (this.opts.autoConnect !== false) this.open();
  }

  socket(nsp, opts) {
    const known = this.nsps[nsp];
    if (!known) return (this.nsps[nsp] = new Socket(this, nsp, Object.assign({}, this.opts, opts)));
    if (this.opts.autoConnect !== false && !known.active) known.connect();
    return known;
  }

  /** Opens the connection; `done(error)` is for the attempts of `reconnect`. */
  open(done) {
    if (this.readyState !== "closed") return this;
    const engine = (this.engine = new Engine(this.address, this.opts));
    this.readyState = "opening";
    this.stopped = false;
    const limit = this.timeout();
    const fail = (error) => {
      this.detach();
      this.readyState = "closed";
      engine.close();
      this.fire("error", error);
      if (done) done(error);
      else if (!this.reconnecting && this.attempts === 0) this.reconnect();
    };
    const timer = limit === false ? undefined : setTimeout(() => fail(new Error("timeout")), limit);
    this.subs = [
      () => clearTimeout(timer),
      subscribe(engine, "error", fail),
      subscribe(engine, "open", () => {
        this.opened(engine);
        if (done) done();
      }),
    ];
    return this;
  }

  opened(engine) {
    this.detach();
    this.readyState = "open";
    this.decoder = new this.parser.Decoder();
    this.decoded = [];
    this.decoder.on("decoded", (packet) => this.decoded.push(packet));
    this.subs = [
      () => this.decoder.destroy(),
      subscribe(engine, "ping", () => this.fire("ping")),
      subscribe(engine, "message", (data) => this.message(data)),
      subscribe(engine, "error", (error) => this.fire("error", error)),
      subscribe(engine, "close", (reason, description) => this.lost(reason, description)),
    ];
    this.fire("open");
  }

  detach() {
    for (const stop of this.subs) stop();
    this.subs = [];
  }

  message(data) {
    try {
      this.decoder.add(data);
    } catch (error) {
      return this.lost("parse error", error);
    }
    for (const packet of this.decoded.splice(0)) {
      if (packet.type > CONNECT_ERROR) packet.type -= BINARY; // what other parsers may tell apart
      this.fire("packet", packet);
    }
  }

  write(packet) {
    if (this.readyState !== "open") return;
    for (const message of this.encoder.encode(packet)) {
      this.engine.write(typeof message === "string" ? "4" + message : message);
    }
  }

  lost(reason, description) {
    this.detach();
    if (this.engine) this.engine.close();
    this.attempts = 0;
    this.readyState = "closed";
    this.fire("close", reason, description);
    this.reconnect();
  }

  /** A socket wants no connection any more; when none does, there is none. */
  release() {
    if (!Object.keys(this.nsps).some((nsp) => this.nsps[nsp].active)) this.close();
  }

  close() {
    this.stopped = true;
    this.giveUp();
    this.lost("forced close");
  }

  /** No attempt that waits is made; one that is under way may still succeed. */
  giveUp() {
    this.reconnecting = false;
    clearTimeout(this.timer);
  }

  /** Doubles with every attempt, spread so that a thousand clients do not come in one instant. */
  delay() {
    const spread = this.randomizationFactor() * (2 * Math.random() - 1);
    const delay = this.reconnectionDelay() * Math.pow(2, this.attempts++);
    return Math.floor(Math.min(delay * (1 + spread), this.reconnectionDelayMax()));
  }

  reconnect() {
    if (this.reconnecting || this.stopped || !this.reconnection()) return;
    if (this.attempts >= this.reconnectionAttempts()) {
      this.attempts = 0;
      this.fire("reconnect_failed");
      return;
    }
    this.reconnecting = true;
    this.timer = setTimeout(() => {
      if (!this.stopped) this.fire("reconnect_attempt", this.attempts);
      if (!this.stopped) this.open((error) => this.attempted(error));
    }, this.delay());
  }

  attempted(error) {
    this.reconnecting = false;
    if (error) {
      this.reconnect();
      this.fire("reconnect_error", error);
      return;
    }
    const attempts = this.attempts;
    this.attempts = 0;
    this.fire("reconnect", attempts);
  }
}
// Options that may be changed later: manager.timeout() is the value, manager.timeout(5000) sets it.
const PRESETS = {
  reconnection: true,
  reconnectionAttempts: Infinity,
  reconnectionDelay: 1000,
  reconnectionDelayMax: 5000,
  randomizationFactor: 0.5,
  timeout: 20000,
};
for (const name of Object.keys(PRESETS)) {
  Manager.prototype[name] = function (value) {
    if (!arguments.length) return this.opts[name] === undefined ? PRESETS[name] : this.opts[name];
    this.opts[name] = value;
    if (name === "reconnection" && !value && this.reconnecting) this.giveUp();
    return this;
  };
}
Manager.prototype.connect = Manager.prototype.open;
Manager.prototype.disconnect = Manager.prototype.close;

// ---- io(url, opts) -------------------------------------------------------------------------------

const ADDRESS = /^(?:(https?|wss?):)?\/\/([^/?#]+)(\/[^?#]*)?(?:\?([^#]*))?/i;

function parseQuery(text) {
  const query = {};
  for (const pair of text.split("&").filter(Boolean)) {
    const [key, value] = pair.split("=").map(decodeURIComponent);
    query[key] = value === undefined ? "" : value;
  }
  return query;
}

/** The parts of an address.  Its path is the name of a namespace, its query goes with every request. */
function parseAddress(uri) {
  const here = root.location;
  if (!here && (uri === undefined || uri === null || /^\/(?!\/)/.test(uri))) {
    throw new Error("outside a page, io() needs the address of a server, such as http://host:3000");
  }
  let full = uri === undefined || uri === null ? "//" + here.host : String(uri);
  if (/^\/(?!\/)/.test(full)) full = "//" + here.host + full;
  else if (!/^([a-z]+:)?\/\//i.test(full)) full = "//" + full;
  const parts = ADDRESS.exec(full);
  if (!parts) throw new Error("not an address of a server: " + uri);
  const scheme = parts[1] || (here && here.protocol === "http:" ? "http" : "https");
  const secure = /^(https|wss)$/i.test(scheme);
  return {
    secure,
    host: parts[2].toLowerCase().replace(secure ? /:443$/ : /:80$/, ""),
    nsp: parts[3] || "/",
    query: parts[4] ? parseQuery(parts[4]) : undefined,
  };
}

const managers = {};

/**
 * The socket for an address.  Sockets for one server share a Manager, unless the options say
 * `forceNew`, or the same namespace is asked for a second time.
 */
function io(uri, opts) {
  if (isObject(uri)) {
    opts = uri;
    uri = undefined;
  }
  opts = opts || {};
  const { secure, host, nsp, query } = parseAddress(uri);
  const base = (secure ? "https://" : "http://") + host;
  const key = base + (opts.path || "/socket.io");
  if (query && !opts.query) opts = Object.assign({}, opts, { query });
  const shared = managers[key];
  if (opts.forceNew || opts.multiplex === false || (shared && shared.nsps[nsp])) {
    return new Manager(base, opts).socket(nsp, opts);
  }
  managers[key] = shared || new Manager(base, opts);
  return managers[key].socket(nsp, opts);
}

Object.assign(io, { io, connect: io, Manager, Socket, protocol: 5 });
if (typeof module === "object" && module.exports) module.exports = io;
else root.io = io;
})(typeof globalThis === "object" ? globalThis : self);
