/*
 * The live view of the layers: a list of what this page sends and receives, and the chosen message
 * byte by byte on each layer (wire.js says what the bytes mean).
 *
 *   const layers = new Layers(element);
 *   layers.push(record);                      each record that comes on /trace
 *
 * The one idea: a byte is the same byte on every layer.  Pointing at one lights it up in the frame
 * (masked), in the Engine.IO packet and in the Socket.IO packet, and the line below says what
 * it is in each.  The newest message is shown until one is chosen.
 *
 * At most ROWS messages are kept and CELLS bytes of a view are drawn.
 */
(function (root) {
  "use strict";

  const { Reader, hex, size, unmask } = root.Wire;
  const ROWS = 300;
  const CELLS = 1000;
  const EVENTS = 200;

  const VIEWS = [
    ["message", "Socket.IO", "packet"],
    ["packet", "Engine.IO", "packet"],
    ["carrier", "WebSocket", "frame"],
  ];

  const BADGES = {
    event: "event",
    ack: "ack",
    connect: "connect",
    disconnect: "leave",
    connect_error: "refused",
    attachment: "binary",
    heartbeat: "beat",
    engine: "engine",
    control: "frame",
    http: "http",
  };

  /** An element: element("p.note", {title: "..."}, child, "text"). */
  function element(what, props, ...children) {
    const [tag, ...classes] = what.split(".");
    const node = Object.assign(document.createElement(tag), props);
    if (classes.length) node.className = classes.join(" ");
    node.append(...children);
    return node;
  }

  function printable(byte) {
    return byte > 32 && byte < 127 ? String.fromCharCode(byte) : byte === 32 ? "␣" : "·";
  }

  class Layers {
    constructor(host, { quiet = [] } = {}) {
      this.quiet = quiet;
      this.reader = new Reader();
      this.session = 0;
      this.rows = [];
      this.events = []; // what the server's layers made of the bytes, not yet matched to a row
      this.held = []; // came while the view was paused
      this.chosen = null;
      this.following = true;
      this.paused = false;
      this.plain = false;
      this.list = host.querySelector(".rows");
      this.detail = host.querySelector(".detail");
      this.explain = host.querySelector(".explain");
      this.note = host.querySelector(".layers-note");
      this.controls = {
        pause: host.querySelector("[data-do=pause]"),
        beats: host.querySelector("[data-do=beats]"),
        follow: host.querySelector("[data-do=follow]"),
      };
      this.listen(host);
    }

    listen(host) {
      this.controls.pause.addEventListener("click", () => this.pause(!this.paused));
      host.querySelector("[data-do=clear]").addEventListener("click", () => this.clear());
      this.controls.follow.addEventListener("click", () => this.follow());
      this.controls.beats.addEventListener("change", () => {
        this.list.classList.toggle("no-beats", !this.controls.beats.checked);
      });
      this.list.addEventListener("click", (event) => {
        const item = event.target.closest("button");
        if (item) this.choose(item.row);
      });
      this.list.addEventListener("keydown", (event) => this.walk(event));
      // Who scrolls back wants to read, not to be carried along.
      for (const kind of ["wheel", "touchmove"]) {
        this.list.addEventListener(kind, () => requestAnimationFrame(() => this.hold()), { passive: true });
      }
      for (const kind of ["mouseover", "focusin", "click"]) {
        this.detail.addEventListener(kind, (event) => {
          const target = event.target.closest(".byte, .field");
          if (target) this.point(target);
        });
      }
      this.detail.addEventListener("keydown", (event) => this.step(event));
    }

    // Records in

    /** A new session begins: nothing of the old one goes on, and its clock may be another. */
    restart() {
      this.reader = new Reader();
      this.events = [];
      this.session += 1;
    }

    push(record) {
      if (this.paused) {
        if (this.held.length < 2000) this.held.push(record);
        this.controls.pause.textContent = `Resume (${this.held.length})`;
        return;
      }
      if (record.dropped) this.say(`${record.dropped} records were left out: the page was too slow.`);
      if (record.what === "event") {
        this.events.push(record);
        if (this.events.length > EVENTS) this.events.shift();
        return;
      }
      for (const row of this.reader.push(record)) this.add(row);
    }

    add(row) {
      row.item = this.item(row);
      // A request is reported with its answer, which may be later than what came meanwhile.
      row.session = this.session;
      let place = this.rows.length;
      const later = (other) => other.session === row.session && other.time > row.time;
      while (place > 0 && later(this.rows[place - 1])) place -= 1;
      this.list.insertBefore(row.item, place < this.rows.length ? this.rows[place].item : null);
      this.rows.splice(place, 0, row);
      if (this.rows.length > ROWS) this.rows.shift().item.remove();
      this.note.hidden = true;
      if (!this.following) return;
      this.list.scrollTop = this.list.scrollHeight;
      const first = !this.chosen && !this.soon;
      if (first || !(this.dull(row) || this.inUse())) this.showSoon(row);
    }

    /** What comes by itself should not push aside what somebody has just sent. */
    dull(row) {
      return row.kind === "heartbeat" || row.kind === "http" || row.kind === "engine" || this.quiet.includes(row.title);
    }

    /** Nothing is replaced under the eyes of who points at it. */
    inUse() {
      return this.detail.matches(":hover, :focus-within");
    }

    /** Of a hundred messages in a burst, only the last is worth drawing. */
    showSoon(row) {
      if (!this.soon) {
        requestAnimationFrame(() => {
          if (this.following && this.soon.item.isConnected) this.show(this.soon);
          this.soon = null;
        });
      }
      this.soon = row;
    }

    item(row) {
      const name = row.sent ? "sent" : "received";
      const button = element(
        `button.row.${name}`,
        { type: "button", tabIndex: -1, row },
        element("span.arrow", { ariaLabel: name }, row.sent ? "↑" : "↓"),
        element("span.time", {}, row.time.toFixed(2)),
        element(`span.badge.${row.kind}`, {}, BADGES[row.kind] || row.kind),
        element("span.what", {}, element("b", {}, row.title), row.text ? " " + row.text.slice(0, 120) : ""),
        element("span.via", {}, [row.namespace !== "/" && row.namespace, row.part].filter(Boolean).join(" · ")),
        element("span.size", {}, size(row.carrier.size).replace(/bytes?/, "B"))
      );
      button.setAttribute("aria-label", `${name}: ${row.title} ${row.text.slice(0, 60)}`);
      return element(`li.${row.kind}`, {}, button);
    }

    say(text) {
      this.note.hidden = false;
      this.note.textContent = text;
    }

    // Controls

    pause(paused) {
      this.paused = paused;
      this.controls.pause.setAttribute("aria-pressed", String(paused));
      this.controls.pause.textContent = paused ? "Resume" : "Pause";
      if (!paused) for (const record of this.held.splice(0)) this.push(record);
    }

    clear() {
      this.rows = [];
      this.chosen = null;
      this.list.replaceChildren();
      this.detail.replaceChildren();
      this.explain.textContent = "Cleared. The next message appears here.";
      this.follow();
    }

    follow() {
      this.following = true;
      this.controls.follow.hidden = true;
      this.list.scrollTop = this.list.scrollHeight;
      const newest = this.rows.filter((row) => !this.dull(row)).pop();
      if (newest) this.show(newest);
    }

    /** The view has become visible: what was not drawn in its place is put there. */
    settle() {
      if (this.following) this.list.scrollTop = this.list.scrollHeight;
    }

    hold() {
      if (this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight > 30) this.stay();
    }

    stay() {
      this.following = false;
      this.controls.follow.hidden = false;
    }

    choose(row) {
      this.stay();
      this.show(row);
    }

    walk(event) {
      const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
      if (!step) return;
      let item = document.activeElement.closest("li");
      do item = item[step];
      while (item && !item.offsetParent);
      if (!item) return;
      event.preventDefault();
      item.firstChild.focus();
      this.choose(item.firstChild.row);
    }

    // One message, on its layers

    show(row) {
      if (this.chosen) {
        this.chosen.item.firstChild.removeAttribute("aria-current");
        this.chosen.item.firstChild.tabIndex = -1;
      }
      this.chosen = row;
      row.item.firstChild.setAttribute("aria-current", "true");
      row.item.firstChild.tabIndex = 0; // one stop for Tab; the arrow keys go from row to row
      this.explain.ariaLive = this.following ? "off" : "polite";
      this.detail.classList.toggle("http", row.transport === "http");
      this.detail.replaceChildren(...VIEWS.map((names) => this.view(row, names)));
      const verb = row.sent ? "This page sent" : "This page received";
      this.explain.textContent = `${verb}: ${row.title}. Point at a byte, or at a field, to see what it is.`;
      if (row.focus === undefined) return;
      const { from, to } = row.carrier.fields[row.focus];
      this.light("carrier", from, to, "near");
    }

    view(row, [which, layer, unit]) {
      const view = row[which];
      const http = which === "carrier" && row.transport === "http";
      const title = http ? "HTTP/1.1" : layer;
      const about = view ? `${http ? "message" : unit}, ${size(view.size)}` : "";
      const section = element(
        `section.layer.on-${which}`,
        {},
        element("h3", {}, title, element("small", {}, about))
      );
      if (!view) {
        const why = which === "message" ? "Nothing for this layer." : "No packet: this is between the layers below.";
        section.append(element("p.none", {}, why));
        return section;
      }
      if (view.head) section.append(this.bits(view), this.maskSwitch(view));
      section.append(this.fields(which, view), this.bytes(which, view, `${title} ${unit}`));
      const made = which === "message" ? this.made(row) : null;
      if (made) section.append(element("p.made", {}, "rawsio: ", element("code", {}, made)));
      return section;
    }

    /** The first two bytes of a frame, bit by bit, as in the figure of the RFC. */
    bits(view) {
      const table = element("div.bits", { ariaHidden: "true" });
      for (const name of ["fin", "rsv", "opcode", "mask", "length"]) {
        table.append(element(`small.bits-${name}`, {}, name === "opcode" || name === "length" ? name : name.toUpperCase()));
      }
      for (let i = 0; i < 16; i++) {
        const bit = (view.bytes[i >> 3] >> (7 - (i & 7))) & 1;
        table.append(element(`span.bit.${i < 8 ? "type" : "length"}`, {}, String(bit)));
      }
      return table;
    }

    maskSwitch(view) {
      if (!view.mask) return element("p.mask-note", {}, "not masked: it comes from the server");
      const box = element("input", { type: "checkbox", checked: this.plain });
      box.addEventListener("change", () => {
        this.plain = box.checked;
        this.show(this.chosen);
      });
      return element("label.mask-note", {}, box, " unmask the payload");
    }

    bytes(which, view, name) {
      const shown = Math.min(view.bytes.length, CELLS);
      const grid = element("div.bytes", { ariaHidden: "true" }); // the fields say the same in words
      const open = this.plain && view.mask ? unmask(view.bytes.subarray(view.payloadAt), view.mask) : null;
      let field = 0;
      for (let i = 0; i < shown; i++) {
        while (view.fields[field + 1] && i >= view.fields[field].to) field++;
        const masked = i >= view.payloadAt && view.mask;
        const byte = open && masked ? open[i - view.payloadAt] : view.bytes[i];
        const cell = element(
          `span.byte.${view.fields[field] ? view.fields[field].kind : "payload"}`,
          {},
          element("b", {}, hex(byte)),
          element("i", {}, masked && !open ? "?" : printable(byte))
        );
        Object.assign(cell, { which, at: i, field });
        grid.append(cell);
      }
      if (shown < view.size) grid.append(element("span.more", {}, `… ${size(view.size - shown)} more`));
      const label = `The bytes of the ${name}; the arrow keys go from one to the next`;
      return element("div.dump", { tabIndex: 0, role: "group", ariaLabel: label }, grid);
    }

    fields(which, view) {
      const list = element("ol.fields");
      view.fields.slice(0, 40).forEach((field, index) => {
        const button = element(
          `button.field.${field.kind}`,
          { type: "button" },
          element("span.swatch"),
          element("span.name", {}, field.name),
          element("span.value", {}, String(field.value).slice(0, 300))
        );
        Object.assign(button, { which, field: index });
        list.append(element("li", {}, button));
      });
      return list;
    }

    /** What the server's own layer made of this message: the nearest event that says the same. */
    made(row) {
      if (row.made !== undefined) return row.made;
      const kinds = { event: "Event", ack: "Ack", connect: "Connect", disconnect: "Disconnect", connect_error: "ConnectError" };
      const name = row.kind === "event" ? `, args=['${row.title}'` : "";
      const begin = `${kinds[row.kind]}(namespace='${row.namespace}'${name}`;
      const far = (record) => Math.abs(record.n - row.n);
      const found = this.events
        .filter((record) => record.layer === "socketio" && record.dir === (row.sent ? "in" : "out"))
        .filter((record) => record.text.startsWith(begin) && far(record) < 40)
        .sort((a, b) => far(a) - far(b))[0];
      if (!found) return null;
      this.events.splice(this.events.indexOf(found), 1);
      row.made = found.text;
      return row.made;
    }

    // Pointing

    /** The arrow keys, in the bytes of a layer. */
    step(event) {
      if (!event.target.matches(".dump")) return;
      const cells = Array.from(event.target.querySelectorAll(".byte"));
      const across = cells.findIndex((cell) => cell.offsetTop > cells[0].offsetTop);
      const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -Infinity, End: Infinity };
      if (!(event.key in by)) return;
      event.preventDefault();
      const at = cells.findIndex((cell) => cell.classList.contains("lit"));
      const cell = cells[at < 0 ? 0 : Math.max(0, Math.min(cells.length - 1, at + by[event.key]))];
      this.point(cell);
      this.reveal(cell);
    }

    /** Says what a byte or a field is, and lights it up on every layer. */
    point(target) {
      const view = this.chosen[target.which];
      const field = view.fields[target.field];
      if (!field) return;
      for (const lit of this.detail.querySelectorAll(".lit, .near")) lit.classList.remove("lit", "near");
      const whole = target.at === undefined;
      const from = whole ? field.from : target.at;
      const to = whole ? field.to : target.at + 1;
      const places = [];
      for (const [which, layer] of VIEWS) {
        const other = this.chosen[which];
        if (!other || (which !== target.which && (other.at === null || view.at === null))) continue;
        const shift = which === target.which ? 0 : view.at - other.at;
        const cell = this.light(which, from + shift, to + shift, "lit");
        if (cell && which !== target.which) this.reveal(cell);
        const here = other.fields.find((f) => f.from <= from + shift && from + shift < f.to);
        if (!here) continue;
        if (!whole) this.light(which, here.from, here.to, "near");
        if (which !== target.which) places.push(`${layer}: ${here.name}`);
      }
      const what = whole ? `${field.name}: ${String(field.value).slice(0, 200)}` : this.byteText(target, view, field);
      this.explain.replaceChildren(
        element("b", {}, what),
        ` ${field.help}`,
        places.length ? element("span.places", {}, ` The same in ${places.join(" · ")}.`) : ""
      );
    }

    light(which, from, to, name) {
      const cells = this.detail.querySelectorAll(`.layer.on-${which} .byte`);
      const first = Math.max(0, from);
      for (let i = first; i < Math.min(to, cells.length); i++) cells[i].classList.add(name);
      return cells[first];
    }

    /** Scrolls the layer, and nothing else, so that a byte can be seen. */
    reveal(cell) {
      const layer = cell.closest(".layer");
      const [seen, its] = [layer.getBoundingClientRect(), cell.getBoundingClientRect()];
      const head = layer.firstChild.offsetHeight; // the title stays on top of what scrolls
      if (its.top < seen.top + head) layer.scrollTop -= seen.top + head - its.top;
      else if (its.bottom > seen.bottom) layer.scrollTop += its.bottom - seen.bottom;
    }

    byteText(target, view, field) {
      const { carrier } = this.chosen;
      const place = view.at === null ? -1 : target.at + view.at - carrier.payloadAt;
      const byte = view.bytes[target.at];
      const sign = (code) => (code > 32 && code < 127 ? ` “${String.fromCharCode(code)}”` : "");
      const begin = `${field.name}, byte ${target.at}: 0x${hex(byte)}`;
      if (!carrier.mask || !(place >= 0)) return `${begin}${sign(byte)}.`;
      const wire = carrier.bytes[place + carrier.payloadAt];
      const key = carrier.mask[place & 3];
      const clear = wire ^ key;
      return `${field.name}, byte ${target.at}: 0x${hex(wire)} on the wire XOR 0x${hex(key)} of the key = 0x${hex(clear)}${sign(clear)}.`;
    }
  }

  root.Layers = Layers;
  root.element = element;
})(self);
