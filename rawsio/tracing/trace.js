/*
 * The page of `rawsio trace`: the messages of all connections (messages.js), a timeline, and export.
 */
(function () {
  "use strict";

  const { Messages, element } = self;
  const COLOURS = { "Socket.IO": "--socketio", "Engine.IO": "--engineio", WebSocket: "--websocket", HTTP: "--http", TLS: "--http" };
  const $ = (id) => document.getElementById(id);

  const socket = io({ transports: ["websocket", "polling"] });
  const messages = new Messages($("messages"), {
    connections: true,
    quiet: (row) => row.namespaces.includes("/presence"),
    changed: drawSoon,
    empty: "No message yet. Connect to the address that the command printed.",
    ask: (name, what, answered) => {
      if (socket.connected) socket.emit(name, what, answered);
      else answered({ error: "not connected" });
    },
  });

  socket.on("connect", () => {
    status("live", "on");
    socket.emit("since", messages.newest, (missed) => messages.take(missed));
  });
  socket.on("disconnect", () => status("the command has ended, or is not reached", "off"));
  socket.on("rows", (rows) => messages.take(rows));

  function status(text, state) {
    $("status").textContent = text;
    document.body.dataset.state = state;
  }

  $("export").addEventListener("click", () => {
    const lines = messages.shown().map(({ item, partner, of, ...row }) => JSON.stringify(row));
    const link = element("a", {
      href: URL.createObjectURL(new Blob([lines.join("\n"), "\n"], { type: "application/jsonl" })),
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
    const colours = Object.fromEntries(["--line", "--warn", ...Object.values(COLOURS)].map((name) => [name, colour(name)]));
    probe.remove();
    const shown = messages.shown();
    pen.fillStyle = colours["--line"];
    pen.fillRect(0, height / 2, width, 1);
    if (!shown.length) return;
    const [from, to] = [shown[0].time, shown[shown.length - 1].time];
    for (const row of shown) {
      const x = 4 + ((row.time - from) / Math.max(to - from, 0.001)) * (width - 8);
      const tall = Math.min(height / 2 - 2, 3 + Math.log2(row.size + 1));
      pen.fillStyle = colours[row.wrong ? "--warn" : COLOURS[row.layers[row.layers.length - 1]] || "--http"];
      pen.fillRect(x, row.sender === "client" ? height / 2 - tall : height / 2 + 1, 2, tall);
    }
  }

  $("timeline").addEventListener("click", (event) => {
    const shown = messages.shown();
    if (!shown.length) return;
    const [from, to] = [shown[0].time, shown[shown.length - 1].time];
    const time = from + ((event.offsetX - 4) / ($("timeline").clientWidth - 8)) * (to - from);
    messages.choose(shown.reduce((a, b) => (Math.abs(b.time - time) < Math.abs(a.time - time) ? b : a)));
  });
  addEventListener("resize", drawSoon);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawSoon);
  $("theme").addEventListener("click", () => {
    self.switchTheme();
    drawSoon();
  });
})();
