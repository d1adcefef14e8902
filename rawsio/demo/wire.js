/*
 * From records of the trace to rows for people: what each byte of a message means, on each layer.
 *
 * The server reports the bytes that pass below the HTTP and the WebSocket layer of this page's
 * session (rawsio/demo/hub.py).  This file takes them apart again, from the bottom up, as the
 * layers did:
 *
 *   reader.push(record) -> rows        one row for each frame, or each packet in an HTTP body
 *
 * A row has up to three views, `carrier` (frame or HTTP message), `packet` (Engine.IO) and `message`
 * (Socket.IO).  A view is {bytes, size, at, fields}: the bytes as far as they are known, their full
 * number, the place of the first one in the carrier (null if it was base64 there), and the
 * fields {from, to, kind, name, value, help}, which cover all of them, in order.
 *
 * The one idea: the view explains the bytes, never a summary of them, so what it shows is what was
 * sent.  Pure functions and one class that remembers what is incomplete; no element of the page is
 * touched here.  Left out: compressed frames and chunked bodies, which are shown as bytes.
 */
(function (root, factory) {
  "use strict";
  if (typeof module === "object" && module.exports) module.exports = factory();
  else root.Wire = factory();
})(typeof globalThis === "object" ? globalThis : self, function () {
  "use strict";

  const SHOWN = 4096; // bytes kept of one message
  const NOTHING = new Uint8Array(0);

  // Bytes

  function fromBase64(base64) {
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  }

  function join(a, b) {
    const both = new Uint8Array(a.length + b.length);
    both.set(a);
    both.set(b, a.length);
    return both;
  }

  /** One character for each byte, so that places in the text are places in the bytes. */
  function latin1(bytes) {
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return text;
  }

  function utf8(bytes) {
    return new TextDecoder().decode(bytes);
  }

  function hex(byte) {
    return byte.toString(16).padStart(2, "0");
  }

  function size(count) {
    return count === 1 ? "1 byte" : `${count.toLocaleString("en")} bytes`;
  }

  /** Lays fields one behind the other. */
  class Fields {
    constructor() {
      this.list = [];
      this.at = 0;
    }

    add(length, kind, name, value, help) {
      if (length > 0) this.list.push({ from: this.at, to: this.at + length, kind, name, value, help });
      this.at += length;
      return this;
    }
  }

  function view(bytes, full, at, fields) {
    return { bytes: bytes.subarray(0, SHOWN), size: full, at, fields: fields.list };
  }

  // Socket.IO: <type>[<attachments>-][<namespace>,][<ack id>][JSON]

  const SOCKET_TYPES = {
    0: ["CONNECT", "Joins a namespace; the answer carries the id of the new socket."],
    1: ["DISCONNECT", "Leaves a namespace. The connection stays for the others."],
    2: ["EVENT", "An event: its name, then its arguments, as one JSON array."],
    3: ["ACK", "The acknowledgement of an event, with the same id."],
    4: ["CONNECT_ERROR", "The namespace could not be joined, and why."],
    5: ["BINARY_EVENT", "An event whose binary arguments follow as messages of their own."],
    6: ["BINARY_ACK", "An acknowledgement whose binary values follow as messages of their own."],
  };
  const SOCKET_HEAD = /^([0-6])(\d+-)?(?:(\/[^,]*)(,|$))?(\d+)?/;
  const EVENT_NAME = /^\[("(?:[^"\\]|\\.)*"|\d+)/;

  /** What a Socket.IO message says; the fields are added to the row. */
  function readMessage(row, bytes, full, at) {
    const text = latin1(bytes);
    const head = SOCKET_HEAD.exec(text);
    if (!head) return;
    const fields = new Fields();
    const [type, help] = SOCKET_TYPES[head[1]];
    fields.add(1, "type", "packet type", `${head[1]} = ${type}`, help);
    const attachments = head[2] ? parseInt(head[2], 10) : 0;
    fields.add((head[2] || "").length, "length", "attachments", String(attachments),
      "So many binary messages follow, one for each placeholder in the JSON.");
    const namespace = head[3] ? utf8(bytes.subarray(fields.at, fields.at + head[3].length)) : "/";
    fields.add((head[3] || "").length + (head[4] || "").length, "space", "namespace", namespace,
      "Which conversation this is. Namespaces share one connection; “/” is left out.");
    fields.add((head[5] || "").length, "id", "ack id", head[5],
      type.endsWith("ACK")
        ? "The event that this acknowledges had the same id."
        : "The sender asks for an acknowledgement, which will carry this id.");
    const json = text.slice(fields.at);
    const named = type.endsWith("EVENT") && EVENT_NAME.exec(json);
    const name = named ? utf8(bytes.subarray(fields.at + 1, fields.at + named[0].length)) : "";
    if (name) {
      fields.add(1, "json", "array", "[", "The array of the event's name and its arguments.");
      fields.add(named[1].length, "name", "event name", name, "The name that the handler was registered for.");
    }
    const value = utf8(bytes.subarray(fields.at));
    const plain = name ? value.replace(/^,|\]$/g, "") : value;
    fields.add(full - fields.at, "json", name ? "arguments" : "data", plain, "JSON in UTF-8.");
    row.message = view(bytes, full, at, fields);
    row.kind = type.replace("BINARY_", "").toLowerCase();
    row.namespace = namespace;
    row.title = name ? name.replace(/^"|"$/g, "") : type.replace("_", " ");
    row.id = head[5];
    row.text = plain;
  }

  // Engine.IO: <type><data>, or binary, which is always a message

  const ENGINE_TYPES = {
    0: ["open", "The handshake: the session's id, how often the server pings, how large a message may be."],
    1: ["close", "The end of the session."],
    2: ["ping", "The server asks whether this page is still there."],
    3: ["pong", "The answer to a ping."],
    4: ["message", "What the layer above sent: a Socket.IO packet."],
    5: ["upgrade", "From here on the session uses this transport; polling is over."],
    6: ["noop", "Nothing: it ends a waiting poll, so that polling can come to rest for the upgrade."],
  };

  const PROBES = {
    ping: "Asks whether this WebSocket works, before the session moves to it.",
    pong: "It does: packets get through both ways.",
  };

  function readPacket(row, bytes, full, at) {
    const type = ENGINE_TYPES[String.fromCharCode(bytes[0])];
    if (!type) return;
    const fields = new Fields();
    const [name, help] = type;
    fields.add(1, "type", "packet type", `${String.fromCharCode(bytes[0])} = ${name}`, help);
    const data = name === "message" ? "the Socket.IO packet" : utf8(bytes.subarray(1));
    const dataHelp =
      name === "message" ? "Carried as it is; this layer does not look into it." : PROBES[name] || help;
    fields.add(full - 1, "payload", "data", data, dataHelp);
    row.packet = view(bytes, full, at, fields);
    row.kind = name === "ping" || name === "pong" || name === "noop" ? "heartbeat" : "engine";
    row.title = name;
    row.text = name === "open" ? data : help;
    if (PROBES[name] && full > 1) {
      Object.assign(row, { kind: "engine", title: `${name} (probe)`, text: PROBES[name] });
    }
    if (name === "message") readMessage(row, bytes.subarray(1), full - 1, at === null ? null : at + 1);
  }

  function readBinary(row, bytes, full, at) {
    const help = "Binary needs no type: it is always a message, here an attachment of the packet before it.";
    const fields = new Fields().add(full, "payload", "binary message", size(full), help);
    row.packet = view(bytes, full, at, fields);
    const bare = new Fields().add(full, "payload", "attachment", size(full),
      "Takes the place of the next placeholder of the packet before it.");
    row.message = view(bytes, full, at, bare);
    row.kind = "attachment";
    row.title = "attachment";
    row.text = size(full);
  }

  /** A browser cuts a large message into several frames; only the first knows what it is. */
  function readFragment(row, bytes, full, at) {
    const help = "Goes on where the frame before it ended; the layer above gets the whole message.";
    const fields = new Fields().add(full, "payload", "fragment", size(full), help);
    row.packet = view(bytes, full, at, fields);
    row.kind = "attachment";
    row.title = row.carrier.head.fin ? "last fragment" : "fragment";
    row.text = size(full);
  }

  // WebSocket frames, RFC 6455 section 5.2

  const OPCODES = {
    0: ["continuation", "One more fragment of a message."],
    1: ["text", "A text message, UTF-8."],
    2: ["binary", "A binary message."],
    8: ["close", "Starts or answers the closing handshake."],
    9: ["ping", "A ping of WebSocket itself (Engine.IO has its own)."],
    10: ["pong", "The answer to a ping of WebSocket itself."],
  };

  /** The header of a frame, or null while it is incomplete. */
  function readHeader(bytes) {
    if (bytes.length < 2) return null;
    const short = bytes[1] & 127;
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
    const masked = bytes[1] >> 7;
    const end = 2 + extended + 4 * masked;
    if (bytes.length < end) return null;
    let length = short;
    if (extended) {
      length = 0;
      for (const byte of bytes.subarray(2, 2 + extended)) length = length * 256 + byte;
    }
    const mask = masked ? bytes.subarray(end - 4, end) : null;
    return { opcode: bytes[0] & 15, fin: bytes[0] >> 7, short, extended, mask, end, length, total: end + length };
  }

  function unmask(bytes, mask) {
    return mask ? bytes.map((byte, i) => byte ^ mask[i & 3]) : bytes;
  }

  function frameFields(bytes, head) {
    const [name, help] = OPCODES[head.opcode] || ["reserved", "Not defined."];
    const fields = new Fields();
    fields.add(1, "type", "FIN, RSV, opcode", `${head.fin ? "FIN" : "more"}, ${name}`,
      `The first bit says ${head.fin ? "that the message ends here" : "that more fragments follow"}; ` +
        `three are reserved for extensions; the last four are the opcode. ${help}`);
    fields.add(1, "length", "MASK, length", `${head.mask ? "masked" : "not masked"}, ${head.short}`,
      "The first bit says whether the payload is masked: a client must, a server must not. " +
        (head.extended
          ? `${head.short} says that the length is in the next ${head.extended} bytes.`
          : "The other seven are the length."));
    fields.add(head.extended, "length", "extended length", size(head.length),
      "The length of the payload, the highest byte first.");
    if (head.mask) {
      fields.add(4, "id", "masking key", Array.from(head.mask, hex).join(" "),
        "Four random bytes, new for each frame. Byte i of the payload is XORed with byte i mod 4 of " +
          "the key, so that a page cannot choose what is on the wire and fool proxies.");
    }
    fields.add(head.length, "payload", head.mask ? "payload, masked" : "payload", size(head.length),
      head.opcode === 8 ? "A close code in two bytes and a reason." : "The Engine.IO packet.");
    return fields;
  }

  function frameRow(record, bytes, head) {
    const row = newRow(record, "websocket");
    row.carrier = view(bytes, head.total, 0, frameFields(bytes, head));
    Object.assign(row.carrier, { mask: head.mask, payloadAt: head.end, head });
    const payload = unmask(bytes.subarray(head.end), head.mask);
    const [name, help] = OPCODES[head.opcode] || ["reserved", ""];
    row.title = `frame: ${name}`;
    row.kind = head.opcode > 8 ? "heartbeat" : "control";
    row.text = help;
    if (head.opcode === 1) readPacket(row, payload, head.length, head.end);
    else if (head.opcode === 2) readBinary(row, payload, head.length, head.end);
    else if (head.opcode === 0) readFragment(row, payload, head.length, head.end);
    if (head.opcode < 3 && !head.fin) row.title += head.opcode ? ", first fragment" : "";
    return row;
  }

  // HTTP/1.1, RFC 9112, with the packets of a polling body

  const HEADERS = {
    "host": "Which server the client means; the one field that every request must have.",
    "connection": "How this connection goes on: kept, closed, or upgraded.",
    "upgrade": "The protocol that the client would like to speak from here on.",
    "sec-websocket-key": "Sixteen random bytes in base64. The answer proves that the server read them.",
    "sec-websocket-accept": "SHA-1 of the key and a fixed text: nobody answers this by accident.",
    "sec-websocket-version": "13: the version of RFC 6455.",
    "sec-websocket-extensions": "Extensions that the client offers, such as compression.",
    "content-length": "How long the body is. It ends there, and the next message may begin.",
    "content-type": "What the body is.",
    "cache-control": "Nobody may keep a copy: each poll is new.",
    "origin": "The page that asks. The server compares it with its own address.",
  };
  const START = /^(?:(GET|POST|HEAD|PUT|DELETE|OPTIONS) (\S+) HTTP\/1\.\d|HTTP\/1\.\d (\d{3})[^\r]*)\r\n/;

  function headFields(bytes, text, end) {
    const fields = new Fields();
    for (const line of text.slice(0, end - 2).split(/(?<=\r\n)/)) {
      const plain = utf8(bytes.subarray(fields.at, fields.at + line.length)).trimEnd();
      const colon = plain.indexOf(":");
      if (fields.at === 0) {
        const request = !plain.startsWith("HTTP/");
        fields.add(line.length, "type", request ? "request line" : "status line", plain, request
          ? "Method, target and version. EIO=4 is the version of Engine.IO, sid the session, t makes " +
            "each address a new one."
          : "Version, status code and reason.");
      } else {
        const name = plain.slice(0, colon);
        fields.add(line.length, fields.list.length % 2 ? "header" : "header2", name,
          plain.slice(colon + 1).trim(), HEADERS[name.toLowerCase()] || "A header field.");
      }
    }
    return fields.add(2, "line", "empty line", "CR LF", "Ends the head.");
  }

  /** The places of the packets in a polling body: [[from, to], ...]. */
  function splitBody(text) {
    const places = [];
    let from = 0;
    for (const part of text.split("\x1e")) {
      places.push([from, from + part.length]);
      from += part.length + 1;
    }
    return places;
  }

  function httpRows(record, bytes, full) {
    const text = latin1(bytes);
    const start = START.exec(text);
    const blank = text.indexOf("\r\n\r\n");
    const end = blank < 0 ? bytes.length : blank + 4;
    const fields = headFields(bytes, text, end);
    const body = text.slice(end);
    const places = /^[0-6b]/.test(body) ? splitBody(body) : [];
    const rest = full - end - body.length; // what the record did not show
    places.forEach(([from, to], i) => {
      const last = i === places.length - 1;
      if (i) fields.add(1, "line", "separator", "0x1e", "Packets in one body are separated by this byte.");
      fields.add(to - from + (last ? rest : 0), "payload", `packet ${i + 1} of ${places.length}`,
        size(to - from + (last ? rest : 0)), "An Engine.IO packet. “b” marks binary, in base64.");
    });
    if (!places.length) fields.add(full - end, "payload", "body", utf8(bytes.subarray(end)), "The body.");
    const carrier = view(bytes, full, 0, fields);
    if (!places.length) return [bareHttp(newRow(record, "http"), carrier, start, body)];
    return places.map(([from, to], i) => {
      const row = newRow(record, "http");
      row.carrier = carrier;
      row.part = places.length > 1 ? `${i + 1}/${places.length}` : "";
      row.focus = fields.list.findIndex((field) => field.from === end + from);
      const packet = bytes.subarray(end + from, end + to);
      const whole = to - from + (i === places.length - 1 ? rest : 0);
      if (text[end + from] === "b") readBinary(row, decodeCut(packet), Math.floor(((whole - 1) * 3) / 4), null);
      else readPacket(row, packet, whole, end + from);
      return row;
    });
  }

  /** Base64 that may have been cut anywhere. */
  function decodeCut(packet) {
    const base64 = latin1(packet.subarray(1));
    try {
      return fromBase64(base64.slice(0, base64.length - (base64.length % 4)));
    } catch (error) {
      return NOTHING;
    }
  }

  function bareHttp(row, carrier, start, body) {
    const upgrade = carrier.fields.some((field) => field.name.toLowerCase() === "upgrade");
    const [, method, target, status] = start || [];
    row.carrier = carrier;
    row.kind = "http";
    row.title = method ? `${method} ${upgrade ? "upgrade" : "poll"}` : `${status || "HTTP"}`;
    if (method === "GET" && !upgrade) row.text = "waits for packets";
    else if (upgrade) row.text = method ? "asks to speak WebSocket" : "switching protocols";
    else row.text = body || target || "";
    if (method === "GET" && target && !/[?&]sid=/.test(target)) row.title = upgrade ? "GET upgrade" : "GET handshake";
    return row;
  }

  function newRow(record, transport) {
    return {
      n: record.n,
      time: record.t,
      sent: record.dir === "in", // the server's "in" is what this page sent
      transport,
      kind: "control",
      title: "",
      text: "",
      namespace: "",
      part: "",
      carrier: null,
      packet: null,
      message: null,
    };
  }

  // Records may hold half a frame, or several, and show only the beginning of what is long

  class Reader {
    constructor() {
      this.frames = { in: { rest: NOTHING, skip: 0 }, out: { rest: NOTHING, skip: 0 } };
      this.messages = { in: null, out: null };
      this.switching = false;
    }

    /** Takes a record of the trace; returns the rows that are complete now. */
    push(record) {
      if (record.what !== "unit" || !(record.layer in { http: 1, websocket: 1 })) return [];
      const bytes = fromBase64(record.data);
      const rows = record.layer === "http" ? this.http(record, bytes) : this.websocket(record, bytes);
      return rows.filter((row) => row.namespace !== "/trace"); // the stream itself is not news
    }

    websocket(record, bytes) {
      const state = this.frames[record.dir];
      const rows = [];
      let hidden = record.size - bytes.length;
      const skipped = Math.min(state.skip, record.size);
      state.skip -= skipped;
      hidden -= Math.max(0, skipped - bytes.length);
      let stream = join(state.rest, bytes.subarray(Math.min(skipped, bytes.length)));
      state.rest = NOTHING;
      while (stream.length) {
        const head = readHeader(stream);
        const whole = head && stream.length >= head.total;
        if (!whole && !hidden && stream.length < SHOWN) {
          state.rest = stream; // the next record has more
          break;
        }
        if (!head || !OPCODES[head.opcode]) break; // not the start of a frame: wait for one
        rows.push(frameRow(record, stream.subarray(0, head.total), head));
        state.skip = Math.max(0, head.total - stream.length - hidden);
        stream = whole ? stream.subarray(head.total) : NOTHING;
      }
      return rows;
    }

    http(record, bytes) {
      const state = this.messages;
      const rows = [];
      const starts = START.test(latin1(bytes.subarray(0, 2000)));
      if (starts) {
        rows.push(...this.finish(record.dir));
        state[record.dir] = { record, bytes, full: record.size, elided: 0 };
      } else if (state[record.dir]) {
        const open = state[record.dir];
        if (open.bytes.length < SHOWN) open.bytes = join(open.bytes, bytes);
        open.full += record.size;
      } else return rows;
      const open = state[record.dir];
      open.elided += record.elided || 0; // packets of the trace itself, which is not shown
      const text = latin1(open.bytes);
      const end = text.indexOf("\r\n\r\n");
      const length = /\r\ncontent-length:[ \t]*(\d+)/i.exec(text.slice(0, end + 2));
      if (end >= 0 && open.full + open.elided >= end + 4 + Number(length ? length[1] : 0)) {
        rows.push(...this.finish(record.dir));
      }
      return rows;
    }

    finish(dir) {
      const open = this.messages[dir];
      this.messages[dir] = null;
      return open ? httpRows(open.record, open.bytes, open.full) : [];
    }
  }

  return { Reader, hex, utf8, size, unmask };
});
