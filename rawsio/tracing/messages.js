/*
 * Messages as rows, and the chosen one through its layers; the pages of the demo and of the proxy.
 *
 *   const messages = new Messages(host, { ask, kept: 5000, ... });
 *   messages.take(rows);                      rows as rawsio.tracing.rows makes them
 *
 * `ask(name, argument, answered)` asks the server: "open" a row for its tree, a "rule" for its text.
 * Events are paired with their acknowledgements: both rows show the time between.  The newest
 * message is shown until one is chosen.  With the keyboard: Tab from part to part, the arrow keys
 * within one.
 */
(function (root) {
  "use strict";

  const { Tree, element } = root;
  const LAYERS = ["HTTP", "WebSocket", "Engine.IO", "Socket.IO"];
  const BADGES = { heartbeat: "beat", control: "frame" };

  class Messages {
    /**
     * options: ask; kept, most rows; sides, what client and server are called; connections, whether
     * rows name theirs; dull(row), whether a row comes by itself and is not worth showing; quiet(row),
     * what is hidden with the heartbeats; changed(), called when other rows are shown; empty, what is
     * said while there are none.
     */
    constructor(host, options) {
      this.host = host;
      this.options = { kept: 5000, sides: { client: "client", server: "server" }, dull: () => false, quiet: () => false, changed: () => {}, ...options };
      this.rows = [];
      this.asked = new Map(); // what waits for its acknowledgement -> row
      this.connections = new Set();
      this.filter = { text: "", layer: "", sender: "", connection: "", beats: true };
      this.held = null; // rows that came while the view was paused
      this.newest = 0;
      this.session = 0; // rows of the ones before can no longer be opened
      this.chosen = null;
      this.following = true;
      this.soon = null;
      this.controls = {};
      this.build();
      this.tree = new Tree({ host: this.layers, explain: this.explain, onRule: (id) => this.showRule(id) });
      this.tree.clear("The newest message appears here, until one is chosen.");
    }

    // The parts

    build() {
      const { empty, sides, connections } = this.options;
      this.list = element("ol.rows", { role: "listbox", tabIndex: 0, ariaLabel: "Messages, newest last; the arrow keys choose" });
      this.none = element("p.empty", {}, empty);
      this.about = element("p.about", {});
      this.explain = element("p.explain", { ariaLive: "polite" });
      this.rule = element("div.rule", { hidden: true, role: "note" });
      this.layers = element("div.layers-of", {});
      this.host.append(
        this.toolbar(sides, connections),
        element("div.list", {}, this.list, this.none),
        element("div.detail", {}, this.about, this.explain, this.rule, this.layers)
      );
      this.list.addEventListener("click", (event) => {
        const item = event.target.closest(".row");
        if (item) this.choose(item.row);
      });
      this.list.addEventListener("keydown", (event) => this.walk(event));
      // Who scrolls back wants to read, not to be carried along.
      for (const kind of ["wheel", "touchmove"]) {
        this.list.addEventListener(kind, () => requestAnimationFrame(() => this.hold()), { passive: true });
      }
      this.rule.addEventListener("keydown", (event) => event.key === "Escape" && (this.rule.hidden = true));
    }

    toolbar(sides, connections) {
      const select = (name, label, choices) => {
        const box = element("select", { ariaLabel: label, title: label }, ...choices.map(([value, text]) => element("option", { value }, text)));
        box.addEventListener("change", () => this.set({ [name]: box.value }));
        this.controls[name] = box;
        return box;
      };
      const button = (name, text, does) => {
        this.controls[name] = element("button", { type: "button" }, text);
        this.controls[name].addEventListener("click", does);
        return this.controls[name];
      };
      const search = element("input.search", { type: "search", placeholder: "search", ariaLabel: "Search: event, namespace, text", autocomplete: "off" });
      search.addEventListener("input", () => this.set({ text: search.value.toLowerCase() }));
      const beats = element("input", { type: "checkbox", checked: true });
      beats.addEventListener("change", () => this.set({ beats: beats.checked }));
      Object.assign(this.controls, { search, beats });
      const parts = [
        search,
        select("layer", "Layer", [["", "all layers"], ...LAYERS.map((name) => [name, name])]),
        select("sender", "Who sent it", [["", "both ways"], ...Object.entries(sides).map(([value, name]) => [value, `from ${name}`])]),
        ...(connections ? [select("connection", "Connection", [["", "all connections"]])] : []),
        element("label.check", {}, beats, "heartbeats"),
        button("pause", "Pause", () => this.pause(!this.held)),
        button("clear", "Clear", () => this.clear()),
        button("follow", "Follow", () => this.follow()),
      ];
      this.controls.follow.hidden = true;
      this.controls.pause.setAttribute("aria-pressed", "false");
      this.bar = element("div.toolbar", { role: "toolbar", ariaLabel: "Which messages are shown" }, ...parts);
      return this.bar;
    }

    // Rows in

    /** A new session begins, whose rows are counted anew. */
    restart() {
      this.session += 1;
      this.newest = 0;
      this.asked.clear();
    }

    take(rows) {
      let missed = 0;
      for (const row of rows) {
        if (row.n <= this.newest) continue;
        if (this.newest) missed += row.n - this.newest - 1;
        this.newest = row.n;
        if (this.held) {
          if (this.held.length < this.options.kept) this.held.push(row);
          this.controls.pause.textContent = `Resume (${this.held.length})`;
        } else {
          this.add(row);
        }
      }
      if (missed) this.say(`${missed} messages were left out: this page was too slow.`);
    }

    add(row) {
      this.pair(row);
      row.of = this.session;
      row.item = this.item(row);
      row.item.hidden = !this.passes(row);
      // A request may be told with its answer, which is later than what came meanwhile.
      let place = this.rows.length;
      while (place > 0 && this.rows[place - 1].time > row.time && place > this.rows.length - 50) place -= 1;
      this.list.insertBefore(row.item, place < this.rows.length ? this.rows[place].item : null);
      this.rows.splice(place, 0, row);
      if (this.rows.length > this.options.kept) this.rows.shift().item.remove();
      if (this.options.connections && !this.connections.has(row.connection)) {
        this.connections.add(row.connection);
        this.controls.connection.append(element("option", { value: row.connection }, `connection ${row.connection}`));
      }
      this.none.hidden = true;
      this.options.changed();
      if (!this.following) return;
      this.list.scrollTop = this.list.scrollHeight;
      const first = !this.chosen && !this.soon;
      if (!row.item.hidden && (first || !(this.options.dull(row) || this.inUse()))) this.showSoon(row);
    }

    /** Nothing is replaced under the eyes of who points at it. */
    inUse() {
      return this.layers.matches(":hover, :focus-within") || !this.rule.hidden;
    }

    /** Of a hundred messages in a burst, only the last is worth drawing. */
    showSoon(row) {
      if (!this.soon) {
        requestAnimationFrame(() => {
          const { soon } = this;
          this.soon = null;
          if (this.following && soon.item.isConnected && !this.inUse()) this.show(soon);
        });
      }
      this.soon = row;
    }

    /** An event that asks for an acknowledgement, and that, belong to each other. */
    pair(row) {
      const key = (sender, name) => `${row.session || row.connection}|${sender}|${name}`;
      for (const name of Object.keys(row.asks)) this.asked.set(key(row.sender, name), row);
      const peer = row.sender === "client" ? "server" : "client";
      for (const name of row.answers) {
        const other = this.asked.get(key(peer, name));
        if (!other) continue;
        this.asked.delete(key(peer, name));
        const ms = Math.max(0, (row.time - other.time) * 1000);
        row.between = `after ${ms.toFixed(1)} ms`;
        other.between = `answered in ${ms.toFixed(1)} ms`;
        if (other.item) other.item.querySelector(".between").textContent = other.between;
        if (row.title.startsWith("ack ")) row.title = `${row.title} of ${other.asks[name]}`;
        [row.partner, other.partner] = [other, row];
      }
      if (this.asked.size > this.options.kept) this.asked.delete(this.asked.keys().next().value);
    }

    item(row) {
      const sent = row.sender === "client";
      const namespaces = row.namespaces.filter((name) => name !== "/").join(" ");
      const who = `from ${this.options.sides[row.sender]}`;
      const item = element(
        `li.row.${sent ? "sent" : "received"}${row.wrong ? ".wrong" : ""}`,
        { row, role: "option", id: `row-${row.connection}-${row.n}` },
        element("span.arrow", { title: who, ariaLabel: who }, sent ? "↑" : "↓"),
        element("span.time", {}, clock(row.time)),
        ...(this.options.connections ? [element("span.number", { title: `connection ${row.connection}` }, String(row.connection))] : []),
        element("span.badge", {}, BADGES[row.kind] || row.kind),
        element("span.what", { title: row.summary }, element("b", {}, row.title), ` ${row.wrong || row.text}`),
        element("span.via", {}, namespaces),
        element("span.between", {}, row.between || ""),
        element("span.size", {}, `${row.size.toLocaleString("en")} B`)
      );
      item.dataset.kind = row.kind;
      item.setAttribute("aria-selected", "false");
      return item;
    }

    say(text) {
      this.none.textContent = text;
      this.none.hidden = false;
    }

    // Which rows

    set(change) {
      Object.assign(this.filter, change);
      for (const row of this.rows) row.item.hidden = !this.passes(row);
      if (this.following) this.list.scrollTop = this.list.scrollHeight;
      this.options.changed();
    }

    passes(row) {
      const { text, layer, sender, connection, beats } = this.filter;
      if (layer && !row.layers.includes(layer)) return false;
      if (sender && row.sender !== sender) return false;
      if (connection && String(row.connection) !== connection) return false;
      if (!beats && (row.kind === "heartbeat" || this.options.quiet(row))) return false;
      if (!text) return true;
      const words = [row.summary, row.title, row.text, row.session, row.kind, row.wrong, ...row.events, ...row.namespaces];
      return words.join(" ").toLowerCase().includes(text);
    }

    shown() {
      return this.rows.filter((row) => !row.item.hidden);
    }

    pause(paused) {
      const waiting = this.held;
      this.held = paused ? [] : null;
      this.controls.pause.setAttribute("aria-pressed", String(paused));
      this.controls.pause.textContent = paused ? "Resume" : "Pause";
      if (waiting) waiting.forEach((row) => this.add(row));
    }

    clear() {
      this.rows = [];
      this.chosen = null;
      this.list.replaceChildren();
      this.about.replaceChildren();
      this.rule.hidden = true;
      this.tree.clear("Cleared. The next message appears here.");
      this.say(this.options.empty);
      this.follow();
      this.options.changed();
    }

    follow() {
      this.following = true;
      this.controls.follow.hidden = true;
      this.list.scrollTop = this.list.scrollHeight;
      const newest = this.shown().filter((row) => !this.options.dull(row)).pop();
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

    walk(event) {
      const shown = this.shown();
      const by = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity, PageDown: 10, PageUp: -10 }[event.key];
      if (by === undefined || !shown.length) return;
      event.preventDefault();
      const at = shown.indexOf(this.chosen);
      const start = at < 0 && by > 0 ? -1 : at < 0 ? shown.length : at;
      this.choose(shown[Math.max(0, Math.min(shown.length - 1, start + by))]);
    }

    // The chosen message

    choose(row) {
      this.stay();
      this.show(row);
    }

    show(row) {
      if (this.chosen) this.chosen.item.setAttribute("aria-selected", "false");
      this.chosen = row;
      row.item.setAttribute("aria-selected", "true");
      this.list.setAttribute("aria-activedescendant", row.item.id);
      if (!this.following) row.item.scrollIntoView({ block: "nearest" });
      this.explain.ariaLive = this.following ? "off" : "polite";
      this.rule.hidden = true;
      if (row.of !== this.session) {
        this.describe(row);
        return this.tree.clear("The session of this message is over, and its bytes are no longer kept.");
      }
      return this.options.ask("open", row.n, (answer) => {
        if (this.chosen !== row) return;
        this.describe(row);
        if (answer.error) return this.tree.clear(`This message cannot be shown: ${answer.error}.`);
        this.layers.scrollTop = 0;
        this.layers.dataset.row = row.item.id;
        return this.tree.show(answer.tree);
      });
    }

    describe(row) {
      const parts = [`${row.layers.join(" → ") || "bytes"}, from ${this.options.sides[row.sender]}`];
      if (this.options.connections) parts.push(`connection ${row.connection}`);
      if (this.options.connections && row.session) parts.push(`session ${row.session}`);
      this.about.replaceChildren(element("b", {}, row.title), ` ${parts.join(", ")} `);
      if (!row.partner) return;
      const name = row.partner.kind === "ack" ? "acknowledgement" : "event";
      const other = element("button", { type: "button" }, `${row.between}: go to the ${name}`);
      other.addEventListener("click", () => this.choose(row.partner));
      this.about.append(other);
    }

    showRule(id) {
      this.options.ask("rule", id, (text) => {
        const close = element("button", { type: "button", ariaLabel: "Close the rule", title: "Close" }, "×");
        close.addEventListener("click", () => (this.rule.hidden = true));
        const said = typeof text === "string" && text ? text : `${id} cannot be looked up now.`;
        this.rule.replaceChildren(element("pre", { tabIndex: 0 }, said), close);
        this.rule.hidden = false;
        this.rule.scrollIntoView({ block: "nearest" });
      });
    }
  }

  function clock(time) {
    const date = new Date(time * 1000);
    return date.toTimeString().slice(0, 8) + (date.getMilliseconds() / 1000).toFixed(3).slice(1);
  }

  // The theme: the system's, or the one that was chosen on this page

  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;

  root.Messages = Messages;
  root.switchTheme = () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const before = document.documentElement.dataset.theme || (dark ? "dark" : "light");
    document.documentElement.dataset.theme = before === "dark" ? "light" : "dark";
    localStorage.setItem("theme", document.documentElement.dataset.theme);
  };
})(self);
