/*
 * A tree of fields (rawsio.explain.plain) drawn as layers: for each, its bytes, and its fields.
 *
 *   const view = new Tree({ host, explain, onRule });
 *   view.show(tree);
 *
 * A field whose bytes were transformed (unmasked, inflated, decoded), and every packet in another,
 * is a layer of its own.  A byte is the same byte on every layer: pointing at one, or going there
 * with the arrow keys, lights it up wherever it is, and the line above says what it is in each.
 *
 * All decoding is done by the server; what is known here is that some fields are layers.
 */
(function (root) {
  "use strict";

  const CELLS = 1024; // bytes of a layer that are drawn
  const LINES = 400; // fields of a layer that are drawn
  const OPEN = 40; // with more fields, those inside others are folded at first
  const LAYER = /(packet|packet in MessagePack)$/;
  const TITLES = { frame: "WebSocket frame", body: "HTTP body", message: "WebSocket message", record: "TLS record" };
  const COLOURS = 8;
  const TOUCH = matchMedia("(pointer: coarse)");

  /** An element: element("p.note", {title: "..."}, child, "text"). */
  function element(what, props, ...children) {
    const [tag, ...classes] = what.split(".");
    const node = Object.assign(document.createElement(tag), props);
    if (classes.length) node.className = classes.join(" ");
    node.append(...children);
    return node;
  }

  function unhex(text) {
    const bytes = new Uint8Array(text.length / 2);
    for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.substr(2 * i, 2), 16);
    return bytes;
  }

  function hex(byte) {
    return byte.toString(16).padStart(2, "0");
  }

  function printable(byte) {
    return byte > 32 && byte < 127 ? String.fromCharCode(byte) : byte === 32 ? "␣" : "·";
  }

  function size(count) {
    return count === 1 ? "1 byte" : `${count.toLocaleString("en")} bytes`;
  }

  function title(field) {
    if (field.name.endsWith(" head")) return `HTTP ${field.name}`;
    return TITLES[field.name] || field.name;
  }

  /** A layer: the bytes of a field, the fields in it, and where it stands in the layer below. */
  class Layer {
    constructor(field, below, at) {
      this.field = field;
      this.data = unhex(field.data || "");
      this.below = below;
      this.at = at; // the place of its first byte in the layer below; null if the bytes were transformed in number
      this.above = [];
      this.lines = []; // all fields, in order, those inside others behind them
      this.place = -1; // where the arrow keys are
      if (below) below.above.push(this);
      this.fields = (field.fields || []).map((inner) => this.placed(inner, 0, 0, null));
    }

    placed(field, base, depth, parent) {
      const node = { field, layer: this, from: base + field.start, to: base + field.end, depth, parent, fields: [], opens: null };
      this.lines.push(node);
      const inner = field.fields || [];
      const own = field.data !== undefined;
      const same = own && field.data === this.field.data.slice(2 * node.from, 2 * node.to);
      const long = own && field.data.length / 2 === node.to - node.from;
      if (own && ((inner.length && LAYER.test(field.name)) || (!same && (inner.length || !long)))) {
        // A message that is one packet, and nothing else, needs no layer of its own.
        const only = inner.length === 1 && inner[0].data === field.data && inner[0].fields ? inner[0] : field;
        node.opens = new Layer(only, this, long ? node.from : null);
      } else {
        const start = own ? node.from : base;
        node.fields = inner.map((each) => this.placed(each, start, depth + 1, node));
      }
      return node;
    }

    /** The innermost field that covers a place. */
    covering(at) {
      const inside = (node) => node.from <= at && at < node.to;
      let found = null;
      let fields = this.fields;
      for (;;) {
        const next = fields.find(inside);
        if (!next) return found;
        found = next;
        fields = next.fields;
      }
    }
  }

  class Tree {
    constructor({ host, explain, onRule }) {
      this.host = host;
      this.explain = explain;
      this.onRule = onRule;
      this.layers = [];
      for (const kind of ["mouseover", "click"]) {
        host.addEventListener(kind, (event) => {
          const target = event.target.closest(".byte, .field");
          if (event.target.closest(".id")) return kind === "click" && this.onRule(event.target.textContent);
          if (!target) return undefined;
          if (target.classList.contains("byte")) return this.point(target.layer, target.at);
          if (kind === "click" && event.target.closest(".twist")) return this.fold(target.node);
          return kind === "click" && this.choose(target.node);
        });
      }
      host.addEventListener("focusin", (event) => {
        const line = event.target.closest(".field");
        if (line) this.choose(line.node);
      });
      host.addEventListener("keydown", (event) => {
        if (event.target.matches(".dump")) this.step(event);
        else if (event.target.matches(".field")) this.walk(event);
      });
    }

    show(tree, heading = "") {
      this.layers = [];
      const add = (layer) => {
        this.layers.push(layer);
        // In the order of the fields; layers of one place, as packets in a body, one after the other.
        layer.lines.forEach((node) => node.opens && add(node.opens));
      };
      add(new Layer({ ...tree, data: tree.data || "" }, null, null));
      this.host.replaceChildren(...this.layers.map((layer) => this.draw(layer)));
      const verb = TOUCH.matches ? "Tap" : "Point at";
      this.explain.replaceChildren(heading, ` ${verb} a byte or a field to see what it is.`);
      const wrong = this.layers.flatMap((layer) => layer.lines).find((node) => node.field.wrong);
      if (wrong) this.light(wrong.layer, wrong.from, wrong.to, wrong, "");
      else if (tree.wrong) this.explain.replaceChildren(element("b", {}, title(tree)), ` ${tree.wrong} `, ...this.rule(tree.rule));
    }

    clear(text) {
      this.layers = [];
      this.host.replaceChildren();
      this.explain.textContent = text;
    }

    draw(layer) {
      const { field } = layer;
      const about = element("small", {}, [size(layer.data.length), field.wrong || field.meaning].filter(Boolean).join(", "));
      const head = element("h3", {}, title(field), about);
      layer.node = element(`section.layer${field.wrong ? ".wrong" : ""}`, {}, head);
      if (field.name === "frame" && layer.data.length > 1) layer.node.append(this.bits(layer.data));
      this.colour(layer);
      layer.dump = this.bytes(layer);
      layer.outline = this.outline(layer);
      layer.node.append(element("div.split", {}, layer.dump, layer.outline));
      return layer.node;
    }

    /** Fields of the same place share a colour; a byte has that of the first field that covers it. */
    colour(layer) {
      layer.colours = new Array(layer.data.length);
      let count = -1;
      let last = "";
      for (const node of layer.fields) {
        const place = `${node.from}-${node.to}`;
        if (place !== last) count += 1;
        last = place;
        node.colour = node.to > node.from ? `k${count % COLOURS}` : "none";
        for (let i = node.from; i < Math.min(node.to, layer.colours.length); i++) layer.colours[i] ??= node.colour;
      }
    }

    /** The first two bytes of a frame, bit by bit, as in the figure of the RFC. */
    bits(data) {
      const table = element("div.bits", { ariaHidden: "true" });
      for (const name of ["FIN", "RSV", "opcode", "MASK", "length"]) table.append(element(`small.bits-${name}`, {}, name));
      for (let i = 0; i < 16; i++) table.append(element(`span.bit.${i < 8 ? "k0" : "k1"}`, {}, String((data[i >> 3] >> (7 - (i & 7))) & 1)));
      return table;
    }

    bytes(layer) {
      const grid = element("div.bytes", { ariaHidden: "true" }); // the fields say the same in words
      layer.cells = [];
      for (let at = 0; at < Math.min(layer.data.length, CELLS); at++) {
        const byte = layer.data[at];
        const cell = element(`span.byte.${layer.colours[at] || "none"}`, { layer, at }, element("b", {}, hex(byte)), element("i", {}, printable(byte)));
        layer.cells.push(cell);
        grid.append(cell);
      }
      const rest = layer.data.length - layer.cells.length;
      if (rest > 0) grid.append(element("span.more", {}, `… ${size(rest)} more`));
      const label = `The bytes of the ${title(layer.field)}; the arrow keys go from one to the next`;
      return element("div.dump", { tabIndex: 0, role: "group", ariaLabel: label, layer }, grid);
    }

    outline(layer) {
      const list = element("div.outline", { role: "tree", ariaLabel: `The fields of the ${title(layer.field)}` });
      layer.lines.slice(0, LINES).forEach((node, index) => list.append(this.line(node, index === 0)));
      if (layer.lines.length > LINES) list.append(element("p.more", {}, `… ${layer.lines.length - LINES} more fields`));
      if (layer.lines.length > OPEN) for (const node of layer.lines) if (node.fields.length && node.depth) this.fold(node, true);
      return list;
    }

    line(node, first) {
      const { field } = node;
      const line = element(
        `div.field${field.wrong ? ".wrong" : ""}`,
        { role: "treeitem", tabIndex: first ? 0 : -1, node },
        element(`span.swatch.${node.colour || "inner"}`, { ariaHidden: "true" }),
        element("span.twist", { ariaHidden: "true" }, node.fields.length ? "▾" : ""),
        element(
          "span.said",
          {},
          element("span.name", {}, field.name),
          element("span.value", {}, field.value || ""),
          element("span.meaning", {}, field.wrong || field.meaning || "")
        )
      );
      line.style.setProperty("--depth", Math.min(node.depth, 12));
      line.setAttribute("aria-level", node.depth + 1);
      if (node.fields.length) line.setAttribute("aria-expanded", "true");
      if (field.rule) line.lastChild.append(element("button.id", { type: "button", tabIndex: -1, title: "What does this rule say?" }, field.rule));
      node.line = line;
      return line;
    }

    /** Fold a field, or unfold it. */
    fold(node, folded = node.line && node.line.getAttribute("aria-expanded") === "true") {
      if (!node.line || !node.fields.length) return;
      node.line.setAttribute("aria-expanded", String(!folded));
      node.line.querySelector(".twist").textContent = folded ? "▸" : "▾";
      const hide = (inner, hidden) => {
        if (inner.line) inner.line.hidden = hidden;
        const shut = inner.line && inner.line.getAttribute("aria-expanded") === "false";
        inner.fields.forEach((each) => hide(each, hidden || shut));
      };
      node.fields.forEach((inner) => hide(inner, folded));
    }

    // Pointing

    /** A byte, wherever it is. */
    point(layer, at) {
      layer.place = at;
      const node = layer.covering(at);
      const byte = layer.data[at];
      const sign = printable(byte) === "·" ? "" : ` “${printable(byte)}”`;
      this.light(layer, at, at + 1, node, `Byte ${at} of the ${title(layer.field)}: 0x${hex(byte)}${sign}. `);
    }

    choose(node) {
      this.light(node.layer, node.from, node.to, node, "");
    }

    light(layer, from, to, node, before) {
      for (const lit of this.host.querySelectorAll(".lit, .near")) lit.classList.remove("lit", "near");
      const places = [];
      this.spread(layer, from, to, null, places);
      if (!node) return this.explain.replaceChildren(before, " No field covers it.");
      if (before) this.mark(layer, node.from, node.to, "near");
      if (node.line) {
        node.line.classList.add("lit");
        for (const line of layer.outline.querySelectorAll("[tabindex='0']")) line.tabIndex = -1;
        node.line.tabIndex = 0;
      }
      const { field } = node;
      return this.explain.replaceChildren(
        before,
        element("b", {}, field.value ? `${field.name} = ${field.value}` : field.name),
        ` ${field.wrong || field.meaning || ""} `,
        ...this.rule(field.rule),
        places.length ? element("span.places", {}, ` ${before ? "The same byte" : "The same bytes"} in ${places.join("; ")}.`) : ""
      );
    }

    rule(id) {
      if (!id) return [];
      const button = element("button.id", { type: "button" }, id);
      button.addEventListener("click", () => this.onRule(id));
      return [button];
    }

    mark(layer, from, to, name) {
      for (let i = Math.max(0, from); i < Math.min(to, layer.cells.length); i++) layer.cells[i].classList.add(name);
    }

    /** Light up a place on a layer, and where it is on the layers below and above. */
    spread(layer, from, to, origin, places) {
      if (to <= from) return;
      this.mark(layer, from, to, "lit");
      if (origin) {
        const node = layer.covering(from);
        const byte = to - from === 1 ? `0x${hex(layer.data[from] ?? 0)}, ` : "";
        places.push(`the ${title(layer.field)}: ${byte}${node ? node.field.name : "a byte"}`);
      }
      const { below, at } = layer;
      if (below && below !== origin && at !== null) this.spread(below, from + at, to + at, layer, places);
      for (const above of layer.above) {
        if (above === origin || above.at === null) continue;
        const [start, end] = [Math.max(from, above.at) - above.at, Math.min(to, above.at + above.data.length) - above.at];
        this.spread(above, start, end, layer, places);
      }
    }

    // Keys

    /** The arrow keys, in the bytes of a layer. */
    step(event) {
      const { layer } = event.target;
      if (!layer.cells.length) return;
      const next = layer.cells.findIndex((cell) => cell.offsetTop > layer.cells[0].offsetTop);
      const across = next < 0 ? layer.cells.length : next;
      const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -Infinity, End: Infinity }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      const at = layer.place < 0 ? 0 : Math.max(0, Math.min(layer.cells.length - 1, layer.place + by));
      this.point(layer, at);
      layer.cells[at].scrollIntoView({ block: "nearest" });
    }

    /** The arrow keys, in the fields of a layer; Enter shows the rule. */
    walk(event) {
      const line = event.target;
      const { node } = line;
      const lines = Array.from(line.parentNode.children).filter((other) => other.node && !other.hidden);
      const at = lines.indexOf(line);
      const open = line.getAttribute("aria-expanded");
      let target = { ArrowDown: lines[at + 1], ArrowUp: lines[at - 1], Home: lines[0], End: lines[lines.length - 1] }[event.key];
      if (event.key === "ArrowRight" && open === "false") this.fold(node, false);
      else if (event.key === "ArrowRight" && open) target = lines[at + 1];
      else if (event.key === "ArrowLeft" && open === "true") this.fold(node, true);
      else if (event.key === "ArrowLeft" && node.parent) target = node.parent.line;
      else if (event.key === "Enter" && node.field.rule) this.onRule(node.field.rule);
      else if (!["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
      event.preventDefault();
      if (target) target.focus();
    }
  }

  root.Tree = Tree;
  root.element = element;
})(self);
