/*
 * The page of `rawsio trace`: rows of all connections, filters, a timeline, and the chosen message.
 *
 * Events are paired with their acknowledgements: both rows show the time between.  At most KEPT
 * rows are kept.  With the keyboard: Tab from part to part, the arrow keys within one.
 */
(function () {
  "use strict";

  const { Tree, element } = self;
  const KEPT = 5000;
  const HEARTBEAT = /(?:ping: are you there\?|pong: yes|noop: ends a poll that waits)$/;
  const COLOURS = { "Socket.IO": "--socketio", "Engine.IO": "--engineio", WebSocket: "--websocket", HTTP: "--http", TLS: "--http" };

  const $ = (id) => document.getElementById(id);
  const list = $("rows");
  const view = new Tree({ bytes: $("bytes"), outline: $("tree"), explain: $("explain"), onRule: showRule });
  const rows = [];
  const asked = new Map(); // what waits for its acknowledgement -> row
  const connections = new Set();
  const filter = { text: "", layer: "", sender: "", connection: "", quiet: false };
  let held = null; // rows that came while the page was paused
  let newest = 0;
  let chosen = null;
  let following = true;

  const socket = io({ transports: ["websocket", "polling"] });
  socket.on("connect", () => {
    $("status").textContent = "live";
    socket.emit("since", newest, (missed) => missed.forEach(take));
  });
  socket.on("disconnect", () => ($("status").textContent = "the command has ended, or is not reached"));
  socket.on("rows", (more) => more.forEach(take));

  function take(row) {
    if (row.n <= newest) return;
    newest = row.n;
    if (held) {
      held.push(row);
      $("pause").textContent = `Resume (${held.length})`;
    } else {
      add(row);
    }
  }

  function add(row) {
    pair(row);
    row.item = item(row);
    row.item.hidden = !passes(row);
    rows.push(row);
    list.append(row.item);
    if (rows.length > KEPT) rows.shift().item.remove();
    if (!connections.has(row.connection)) {
      connections.add(row.connection);
      $("connection").append(element("option", { value: row.connection }, String(row.connection)));
    }
    $("none").hidden = true;
    if (following) list.scrollTop = list.scrollHeight;
    drawSoon();
  }

  /** An event that asks for an acknowledgement, and that, belong to each other. */
  function pair(row) {
    const key = (sender, name) => `${row.session || row.connection}|${sender}|${name}`;
    for (const name of row.asks) asked.set(key(row.sender, name), row);
    const peer = row.sender === "client" ? "server" : "client";
    for (const name of row.answers) {
      const other = asked.get(key(peer, name));
      if (!other) continue;
      asked.delete(key(peer, name));
      const ms = Math.max(0, (row.time - other.time) * 1000);
      row.between = `after ${ms.toFixed(1)} ms`;
      other.between = `answered in ${ms.toFixed(1)} ms`;
      other.item.querySelector(".between").textContent = other.between;
      [row.partner, other.partner] = [other, row];
    }
    if (asked.size > KEPT) asked.delete(asked.keys().next().value);
  }

  function item(row) {
    const top = row.layers[row.layers.length - 1] || "";
    const sent = row.sender === "client";
    const time = new Date(row.time * 1000).toISOString().slice(11, 23);
    const node = element(
      `li.row${row.wrong ? ".wrong" : ""}`,
      { row },
      element("span.time", {}, time),
      element("span.number", { title: "connection" }, String(row.connection)),
      element("span.arrow", { ariaLabel: sent ? "from the client" : "from the server" }, sent ? "→" : "←"),
      element("span.layer", {}, top || "data"),
      element("span.what", {}, row.wrong ? `${row.summary}: ${row.wrong}` : row.summary),
      element("span.between", {}, row.between || ""),
      element("span.size", {}, `${row.size} B`)
    );
    node.dataset.layer = top;
    node.id = `row-${row.n}`;
    node.setAttribute("role", "option");
    node.setAttribute("aria-selected", "false");
    return node;
  }

  function passes(row) {
    if (filter.layer && !row.layers.includes(filter.layer)) return false;
    if (filter.sender && row.sender !== filter.sender) return false;
    if (filter.connection && String(row.connection) !== filter.connection) return false;
    if (filter.quiet && (HEARTBEAT.test(row.summary) || row.namespaces.includes("/presence"))) return false;
    if (!filter.text) return true;
    return `${row.summary} ${row.session} ${row.events.join(" ")} ${row.namespaces.join(" ")} ${row.wrong}`
      .toLowerCase()
      .includes(filter.text);
  }

  function refilter() {
    for (const row of rows) row.item.hidden = !passes(row);
    drawSoon();
  }

  // The chosen message

  function choose(row) {
    if (chosen) chosen.item.setAttribute("aria-selected", "false");
    chosen = row;
    row.item.setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", row.item.id);
    row.item.scrollIntoView({ block: "nearest" });
    following = row === rows[rows.length - 1];
    $("rule").hidden = true;
    socket.emit("open", row.n, (answer) => {
      if (chosen !== row) return;
      const about = [`connection ${row.connection}`, `from the ${row.sender}`, row.layers.join(" / ")];
      if (row.session) about.push(`session ${row.session}`);
      $("about").replaceChildren(element("b", {}, row.summary), ` ${about.join(", ")} `);
      if (row.partner) {
        const other = element("button", { type: "button" }, row.between);
        other.addEventListener("click", () => choose(row.partner));
        $("about").append(other);
      }
      if (answer.error) $("explain").textContent = answer.error;
      else view.show(answer.tree);
    });
  }

  function showRule(id) {
    socket.emit("rule", id, (text) => {
      $("rule").textContent = text;
      $("rule").hidden = !text;
      $("rule").scrollIntoView({ block: "nearest" });
    });
  }

  list.addEventListener("click", (event) => {
    const node = event.target.closest(".row");
    if (node) choose(node.row);
  });
  list.addEventListener("keydown", (event) => {
    const shown = rows.filter((row) => !row.item.hidden);
    const by = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity, PageDown: 10, PageUp: -10 }[event.key];
    if (by === undefined || !shown.length) return;
    event.preventDefault();
    const at = shown.indexOf(chosen);
    const start = at < 0 && by > 0 ? -1 : at < 0 ? shown.length : at;
    choose(shown[Math.max(0, Math.min(shown.length - 1, start + by))]);
  });
  list.addEventListener("wheel", () => {
    following = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  }, { passive: true });

  // Controls

  $("search").addEventListener("input", () => {
    filter.text = $("search").value.toLowerCase();
    refilter();
  });
  for (const name of ["layer", "sender", "connection"]) {
    $(name).addEventListener("change", () => {
      filter[name] = $(name).value;
      refilter();
    });
  }
  $("quiet").addEventListener("change", () => {
    filter.quiet = $("quiet").checked;
    refilter();
  });
  $("pause").addEventListener("click", () => {
    const waiting = held;
    held = waiting ? null : [];
    $("pause").setAttribute("aria-pressed", String(!waiting));
    $("pause").textContent = waiting ? "Pause" : "Resume";
    if (waiting) waiting.forEach(add);
  });
  $("clear").addEventListener("click", () => {
    rows.length = 0;
    chosen = null;
    list.replaceChildren();
    $("none").hidden = false;
    drawSoon();
  });
  $("export").addEventListener("click", () => {
    const shown = rows.filter((row) => !row.item.hidden).map(({ item, partner, ...row }) => JSON.stringify(row));
    const link = element("a", {
      href: URL.createObjectURL(new Blob([shown.join("\n"), "\n"], { type: "application/jsonl" })),
      download: "trace.jsonl",
    });
    link.click();
    URL.revokeObjectURL(link.href);
  });

  // The timeline: a mark for each message, the client's above, the server's below

  let drawing = false;
  function drawSoon() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(draw);
  }

  function draw() {
    drawing = false;
    const canvas = $("timeline");
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * devicePixelRatio;
    canvas.height = height * devicePixelRatio;
    const pen = canvas.getContext("2d");
    pen.scale(devicePixelRatio, devicePixelRatio);
    // A canvas knows no variables: an element says what they come to.
    const probe = document.body.appendChild(element("i", { hidden: true }));
    const colour = (name) => ((probe.style.color = `var(${name})`), getComputedStyle(probe).color);
    const colours = Object.fromEntries(["--line", "--wrong", ...Object.values(COLOURS)].map((name) => [name, colour(name)]));
    probe.remove();
    const shown = rows.filter((row) => !row.item.hidden);
    pen.fillStyle = colours["--line"];
    pen.fillRect(0, height / 2, width, 1);
    if (!shown.length) return;
    const [from, to] = [shown[0].time, shown[shown.length - 1].time];
    for (const row of shown) {
      const x = 4 + ((row.time - from) / Math.max(to - from, 0.001)) * (width - 8);
      const tall = Math.min(height / 2 - 2, 3 + Math.log2(row.size + 1));
      pen.fillStyle = colours[row.wrong ? "--wrong" : COLOURS[row.layers[row.layers.length - 1]] || "--http"];
      pen.fillRect(x, row.sender === "client" ? height / 2 - tall : height / 2 + 1, 2, tall);
    }
  }

  $("timeline").addEventListener("click", (event) => {
    const shown = rows.filter((row) => !row.item.hidden);
    if (!shown.length) return;
    const [from, to] = [shown[0].time, shown[shown.length - 1].time];
    const time = from + ((event.offsetX - 4) / ($("timeline").clientWidth - 8)) * (to - from);
    choose(shown.reduce((a, b) => (Math.abs(b.time - time) < Math.abs(a.time - time) ? b : a)));
  });
  addEventListener("resize", drawSoon);
})();
