/*
 * The queue's page: how the queue stands, over time; who works on it; its messages.
 *
 * It watches on "/board" (board.py has the table of the events).  The consumers that it adds are
 * clients of their own on "/work", and do nothing that another Socket.IO client could not: they ask
 * for messages, and acknowledge each when it is done.
 */
(function () {
  "use strict";

  const { element, io } = self;
  const $ = (id) => document.getElementById(id);
  const STATES = ["ready", "leased", "delayed", "blocked", "dead"];
  const WORDS = { ready: "ready", leased: "leased", delayed: "delayed", blocked: "blocked", dead: "dead letters" };
  const KEPT = 240; // samples
  const NOW = 4; // samples whose mean is the present speed
  const samples = [];
  const workers = new Map(); // id of the socket -> the socket
  let shown = "ready"; // the state whose messages are listed
  let chosen = 0; // the id of the message whose deliveries are shown

  const board = io("/board");

  function number(value) {
    return Math.round(value).toLocaleString("en");
  }

  // Depth

  const tiles = new Map(
    STATES.map((state) => {
      const value = element("b", {}, "0");
      const tile = element("li", {}, value, element("span", {}, WORDS[state]));
      tile.dataset.state = state;
      $("states").append(tile);
      return [state, value];
    }),
  );

  function svg(name, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  /** A round number that is not below: where an axis ends. */
  function ceiling(value) {
    const unit = 10 ** Math.floor(Math.log10(Math.max(1, value)));
    return [1, 1.2, 1.6, 2, 3, 4, 6, 8, 10].map((n) => n * unit).find((n) => n >= value);
  }

  function frame(node, most) {
    const { width, height } = node.getBoundingClientRect();
    node.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const step = width / (KEPT - 1);
    const first = KEPT - samples.length;
    const x = (i) => ((first + i) * step).toFixed(1);
    const y = (value) => (height - (value / most) * (height - 16)).toFixed(1);
    const middle = y(most / 2);
    const lines = [svg("line", { class: "grid", x1: 0, x2: width, y1: middle, y2: middle })];
    for (const i of samples.keys()) {
      if (i && samples[i].published - samples[i - 1].published >= 1000) {
        lines.push(svg("line", { class: "spike", x1: x(i), x2: x(i), y1: 0, y2: height }));
      }
    }
    const labels = [
      svg("text", { x: 6, y: 12 }, number(most)),
      svg("text", { x: 6, y: Number(middle) - 3 }, number(most / 2)),
    ];
    return { x, y, lines, labels };
  }

  function drawDepth() {
    const totals = samples.map((s) => STATES.reduce((sum, state) => sum + s[state], 0));
    const { x, y, lines, labels } = frame($("depth"), ceiling(Math.max(10, ...totals)));
    const floor = samples.map(() => 0);
    const areas = [];
    for (const state of STATES) {
      const below = samples.map((_, i) => `${x(i)},${y(floor[i])}`);
      samples.forEach((sample, i) => (floor[i] += sample[state]));
      const above = samples.map((_, i) => `${x(i)},${y(floor[i])}`);
      const points = above.concat(below.reverse()).join(" ");
      areas.push(svg("polygon", { class: "area", points, fill: `var(--${state})` }));
    }
    $("depth").replaceChildren(...lines.slice(0, 1), ...areas, ...lines.slice(1), ...labels);
  }

  /** Messages a second that were done between two samples. */
  function speed(from, to) {
    const seconds = samples[to].time - samples[from].time;
    return seconds > 0 ? (samples[to].acked - samples[from].acked) / seconds : 0;
  }

  function drawDone() {
    const speeds = samples.map((_, i) => speed(Math.max(0, i - 1), i));
    const { x, y, lines, labels } = frame($("done"), ceiling(Math.max(10, ...speeds)));
    const points = speeds.map((speed, i) => `${x(i)},${y(speed)}`).join(" ");
    $("done").replaceChildren(...lines, svg("polyline", { class: "line", points }), ...labels);
    const last = samples.length - 1;
    $("speed").textContent = last < 0 ? "" : `${number(speed(Math.max(0, last - NOW), last))} now`;
  }

  function take(news) {
    for (const sample of news) {
      if (samples.length && sample.number <= samples[samples.length - 1].number) continue;
      samples.push(sample);
    }
    samples.splice(0, samples.length - KEPT);
    const last = samples[samples.length - 1];
    if (!last) return;
    for (const [state, value] of tiles) value.textContent = number(last[state]);
    drawDepth();
    drawDone();
    drawConsumers(last.consumers);
    list();
  }

  // Consumers

  function drawConsumers(consumers) {
    const items = consumers.map(({ name, credit, held, failures }) => {
      const [id] = name.split(" ");
      const worker = workers.get(id);
      const label = element("span.name", { title: name }, worker ? element("b", {}, "yours ") : "", id.slice(0, 8));
      const meter = element("meter", { max: credit, value: held, title: `${held} of ${credit}` });
      meter.setAttribute("aria-label", `holds ${held} of ${credit}`);
      const text = `${number(held)} of ${number(credit)}`;
      const count = element("span.held", { title: failures ? `${failures} failures in a row` : "" }, text);
      const item = element("li", {}, label, meter, count);
      if (!worker) return item.append(element("span.gap", {})), item;
      const button = element("button", { type: "button", title: "Disconnect it", ariaLabel: "Disconnect it" }, "×");
      button.addEventListener("click", () => {
        worker.disconnect();
        workers.delete(id);
      });
      item.append(button);
      return item;
    });
    const focused = $("consumers").contains(document.activeElement);
    if (!focused) $("consumers").replaceChildren(...items);
    $("nobody").hidden = items.length > 0;
  }

  /** Add a consumer: a client that works a while on each message, and acknowledges it. */
  function addWorker(credit, milliseconds) {
    const socket = io("/work", { forceNew: true, transports: ["websocket"] });
    socket.on("connect", () => {
      workers.set(socket.id, socket);
      socket.emit("consume", "demo", { credit }, (error) => error && say(error.message, true));
    });
    socket.on("message", (message, ack) => {
      const failed = message.body.do === "fail" && { error: "it cannot be done" };
      setTimeout(() => (failed ? ack(failed) : ack()), milliseconds);
    });
  }

  $("workers").addEventListener("submit", (event) => {
    event.preventDefault();
    addWorker(Number($("credit").value), Number($("work").value));
  });

  // Messages

  function drawTabs() {
    const buttons = STATES.map((state) => {
      const button = element("button", { type: "button" }, WORDS[state]);
      button.setAttribute("aria-pressed", String(state === shown));
      button.addEventListener("click", () => {
        shown = state;
        drawTabs();
        list();
      });
      return button;
    });
    $("tabs").replaceChildren(...buttons);
  }

  function list() {
    const state = shown;
    board.emit("peek", state, (found) => {
      if (found.error || state !== shown) return;
      const items = found.map((message) => {
        const button = element("button", { type: "button" });
        button.append(
          element("span.which", {}, `#${message.id}`),
          element("span.why", {}, `${message.deliveries} ${message.deliveries === 1 ? "delivery" : "deliveries"}`),
          element("span.why", {}, message.state === "delayed" ? `due ${clock(message.due)}` : message.error || ""),
        );
        button.dataset.state = message.state;
        if (message.id === chosen) button.setAttribute("aria-current", "true");
        button.addEventListener("click", () => {
          chosen = message.id;
          list();
        });
        return element("li", {}, button);
      });
      const focused = Array.from($("messages").querySelectorAll("button")).indexOf(document.activeElement);
      $("messages").replaceChildren(...items);
      if (focused >= 0 && items.length) items[Math.min(focused, items.length - 1)].firstChild.focus();
      $("empty").hidden = items.length > 0;
      $("empty").textContent = `No message is ${state === "dead" ? "a dead letter" : state}.`;
      if (chosen) board.emit("message", chosen, draw);
    });
  }

  function clock(seconds) {
    const time = new Date(seconds * 1000);
    const tail = String(time.getMilliseconds()).padStart(3, "0");
    return `${time.toLocaleTimeString([], { hour12: false })}.${tail}`;
  }

  function draw({ message, deliveries, error }) {
    if (error) return;
    const facts = element("dl");
    const fact = (name, value) => facts.append(element("dt", {}, name), element("dd", {}, value));
    fact("state", message ? message.state : "done, and deleted");
    if (message) {
      fact("published", clock(message.published));
      fact("body", element("code", {}, JSON.stringify(message.body)));
      if (message.priority) fact("priority", String(message.priority));
      if (message.state === "delayed") fact("due", clock(message.due));
      if (message.error) fact("last error", message.error);
    }
    const items = deliveries.map(({ time, consumer, number: count }, i) => {
      const mine = workers.has(consumer) ? "yours, " : "";
      const over = i < deliveries.length - 1 || (message && message.state !== "leased");
      const end = over ? "given back" : message ? "at work" : "done";
      return element("li", {}, `delivery ${count}, ${clock(time)}, to ${mine}`, element("code", {}, consumer.slice(0, 8)), `: ${end}`);
    });
    const none = element("p.none", {}, "It has not been delivered, or that is forgotten.");
    const heading = element("h2", {}, `Message #${chosen}`);
    $("detail").replaceChildren(heading, facts, items.length ? element("ol", {}, ...items) : none);
  }

  // Publishing

  function say(text, wrong = false) {
    $("answer").textContent = text;
    $("answer").classList.toggle("wrong", wrong);
  }

  function ask(...words) {
    const began = performance.now();
    board.emit(...words, (answer) => {
      const seconds = ((performance.now() - began) / 1000).toFixed(2);
      if (answer.error) say(answer.error, true);
      else say(Object.entries(answer).map(([what, count]) => `${number(count)} ${what} in ${seconds} s`).join(", "));
      list();
    });
  }

  for (const button of document.querySelectorAll("[data-kind]")) {
    button.addEventListener("click", () => ask("publish", button.dataset.kind));
  }
  $("redrive").addEventListener("click", () => ask("redrive"));
  $("purge").addEventListener("click", () => ask("purge"));
  $("theme").addEventListener("click", () => self.switchTheme());

  board.on("connect", () => {
    document.body.dataset.state = "on";
    $("status").textContent = "connected";
    samples.length = 0;
  });
  board.on("disconnect", (reason) => {
    document.body.dataset.state = "off";
    $("status").textContent = `not connected: ${reason}`;
  });
  board.on("samples", take);
  drawTabs();
  addWorker(20, 20);
})();
