/*
 * A tree of fields (rawsio.explain.plain) drawn twice: its bytes, and the fields as an outline.
 *
 *   const view = new Tree({ bytes, outline, explain, onRule });
 *   view.show(tree);
 *
 * Pointing at a byte, or going there with the arrow keys, lights up the innermost field that it
 * belongs to, in both, and says what it is.  A field whose bytes were transformed (unmasked,
 * inflated, joined) has bytes of its own: choosing it, or a field in it, draws those.
 *
 * All decoding is done by the server; nothing here knows a protocol.
 */
(function (root) {
  "use strict";

  const CELLS = 4096;

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

  function printable(byte) {
    return byte > 32 && byte < 127 ? String.fromCharCode(byte) : byte === 32 ? "␣" : "·";
  }

  class Tree {
    constructor({ bytes, outline, explain, onRule }) {
      this.bytes = bytes;
      this.outline = outline;
      this.explain = explain;
      this.onRule = onRule;
      this.frame = null; // the field whose data is drawn
      this.chosen = null;
      for (const kind of ["mouseover", "click"]) {
        bytes.addEventListener(kind, (event) => {
          const cell = event.target.closest("[data-at]");
          if (cell) this.point(Number(cell.dataset.at));
        });
      }
      bytes.addEventListener("keydown", (event) => this.step(event));
      outline.addEventListener("click", (event) => {
        const rule = event.target.closest("[data-rule]");
        const line = event.target.closest(".line");
        if (rule) this.onRule(rule.dataset.rule);
        else if (line) this.choose(line.field);
      });
      outline.addEventListener("focusin", (event) => {
        const line = event.target.closest(".line");
        if (line) this.choose(line.field);
      });
      outline.addEventListener("keydown", (event) => this.walk(event));
    }

    show(tree) {
      this.frame = null;
      this.chosen = null;
      // The root refers to its own data from 0, wherever it stands in its stream.
      this.root = { ...tree, frame: null };
      this.outline.replaceChildren(this.list([this.link(this.root, null, 0)]));
      this.draw(this.root);
      this.explain.textContent = "Point at a byte, or choose a field, to see what it is.";
    }

    /** Give each field the field whose data it refers to. */
    link(field, frame, depth) {
      field.frame = frame;
      field.depth = depth;
      const inside = field.data === undefined ? frame : field;
      field.fields = (field.fields || []).map((below) => this.link({ ...below }, inside, depth + 1));
      return field;
    }

    list(fields) {
      const list = element("ul");
      for (const field of fields) {
        const line = element(
          `button.line${field.wrong ? ".wrong" : ""}`,
          { type: "button", field, tabIndex: field.depth ? -1 : 0 },
          element("span.name", {}, field.name),
          element("span.value", {}, field.value || ""),
          element("span.meaning", {}, field.wrong || field.meaning || "")
        );
        field.line = line;
        const item = element("li", {}, line);
        if (field.rule) item.append(element("button.id", { type: "button", title: "What does this rule say?" }, field.rule));
        if (field.rule) item.lastChild.dataset.rule = field.rule;
        if (field.fields.length) item.append(this.list(field.fields));
        list.append(item);
      }
      return list;
    }

    draw(frame) {
      if (this.frame === frame) return;
      this.frame = frame;
      const data = unhex((frame.data || "").slice(0, 2 * CELLS));
      this.data = data;
      const cells = [];
      data.forEach((byte, at) => {
        const cell = element("span.byte", {}, element("b", {}, byte.toString(16).padStart(2, "0")), element("i", {}, printable(byte)));
        cell.dataset.at = at;
        cells.push(cell);
      });
      const size = (frame.data || "").length / 2;
      const title = element("p.of", {}, `${frame.name}: ${size} ${size === 1 ? "byte" : "bytes"}`);
      this.bytes.replaceChildren(title, ...cells);
      if (size > data.length) this.bytes.append(element("span.more", {}, `… ${size - data.length} more`));
      this.at = -1;
    }

    /** The innermost field of the drawn bytes that covers a place. */
    covering(at) {
      let found = this.frame;
      const look = (fields) => {
        for (const field of fields) {
          if (field.start <= at && at < field.end) {
            found = field;
            if (field.data === undefined) look(field.fields);
            return;
          }
        }
      };
      look(this.frame.fields);
      return found;
    }

    point(at) {
      this.at = at;
      const field = this.covering(at);
      const byte = this.data[at];
      this.light(field, `Byte ${at}: 0x${byte.toString(16).padStart(2, "0")}${printable(byte) === "·" ? "" : ` “${printable(byte)}”`}. `);
    }

    choose(field) {
      const frame = field.data !== undefined && (!field.frame || field.fields.length || field === this.root) ? field : field.frame || field;
      this.draw(frame);
      this.light(field, "");
    }

    light(field, before) {
      this.chosen = field;
      for (const lit of this.outline.querySelectorAll(".lit")) lit.classList.remove("lit");
      for (const lit of this.bytes.querySelectorAll(".lit, .at")) lit.classList.remove("lit", "at");
      field.line.classList.add("lit");
      const whole = field === this.frame;
      const cells = this.bytes.querySelectorAll(".byte");
      if (!whole) for (let i = field.start; i < Math.min(field.end, cells.length); i++) cells[i].classList.add("lit");
      if (this.at >= 0 && cells[this.at] && before) cells[this.at].classList.add("at");
      const value = field.value ? ` = ${field.value}` : "";
      this.explain.replaceChildren(
        before,
        element("b", {}, `${field.name}${value}`),
        ` ${field.wrong || field.meaning || ""} `
      );
      if (field.rule) {
        const rule = element("button.id", { type: "button" }, field.rule);
        rule.addEventListener("click", () => this.onRule(field.rule));
        this.explain.append(rule);
      }
    }

    step(event) {
      const cells = Array.from(this.bytes.querySelectorAll(".byte"));
      if (!cells.length) return;
      const next = cells.findIndex((cell) => cell.offsetTop > cells[0].offsetTop);
      const across = next < 0 ? cells.length : next;
      const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -Infinity, End: Infinity }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      const at = this.at < 0 ? 0 : Math.max(0, Math.min(cells.length - 1, this.at + by));
      this.point(at);
      cells[at].scrollIntoView({ block: "nearest" });
    }

    walk(event) {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!by) return;
      const lines = Array.from(this.outline.querySelectorAll(".line"));
      const line = lines[lines.indexOf(document.activeElement) + by];
      event.preventDefault();
      if (line) line.focus();
    }
  }

  root.Tree = Tree;
  root.element = element;
})(self);
