/*
 * The chat's page: rooms, messages with their ticks, files, people, and the feed of the live view.
 *
 * Three namespaces over one connection: "/" for what is said, "/presence" for who is there and
 * typing, "/trace" for what this page's session sends and receives (messages.js draws it).  chat.py
 * has the table of the events.
 *
 * The page shows what it knows.  A message appears at once, without a tick; one tick
 * means that the server has acknowledged it, two that it was shown on somebody's page.
 */
(function () {
  "use strict";

  const { element, io, Messages } = self;
  const $ = (id) => document.getElementById(id);
  const FILE_LIMIT = 700000; // chat.py refuses more
  const PICTURE_SIDE = 1600; // larger pictures are made smaller before they are sent
  const LASTING = ["lobby", "pictures", "protocol"]; // rooms that are there even when empty
  // Events that come by themselves: they do not take the view from what was said.
  const QUIET = ["rooms", "people", "enter", "typing", "seen"];

  const layers = new Messages($("layers"), {
    kept: 400,
    sides: { client: "this page", server: "the server" },
    dull: (row) => row.kind !== "event" || row.events.some((event) => QUIET.includes(event)),
    empty: "Everything that this page sends and receives will appear here.",
    ask: (name, what, answered) => {
      if (sockets && sockets.trace.connected) sockets.trace.emit(name, what, answered);
      else answered({ error: "not connected" });
    },
  });
  const rooms = new Map(); // name -> {joined, people, unread, here}
  let current = LASTING[0];
  let name = "";
  let asking = 0; // the timer of askTcp
  let sockets = null;
  let letIn; // called once the server has let this page into its room
  let inside; // the promise of it, which what is to be sent waits for

  // Rooms

  function room(named) {
    if (!rooms.has(named)) rooms.set(named, { joined: false, people: 0, unread: 0, here: [] });
    return rooms.get(named);
  }

  function drawRooms() {
    const items = [];
    for (const [named, { people, unread, joined }] of rooms) {
      if (!people && !joined && !LASTING.includes(named)) continue;
      const tab = element("button", { type: "button", title: `${people} here` }, `# ${named}`);
      if (people) tab.append(element("small", {}, String(people)));
      if (unread) tab.append(element("span.unread", { ariaLabel: `${unread} unread` }, String(unread)));
      if (named === current) tab.setAttribute("aria-current", "page");
      tab.addEventListener("click", () => enter(named));
      const item = element("li", {}, tab);
      if (named === current && !LASTING.includes(named)) item.append(leaving(named));
      items.push(item);
    }
    $("rooms").replaceChildren(...items);
    const shown = $("rooms").querySelector("[aria-current]");
    if (shown) shown.parentNode.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function leaving(named) {
    const label = `Leave ${named}`;
    const button = element("button.leave", { type: "button", title: label, ariaLabel: label }, "×");
    button.addEventListener("click", () => {
      rooms.delete(named);
      sockets.chat.emit("leave", named);
      enter(LASTING[0]);
    });
    return button;
  }

  async function enter(named) {
    const answer = await sockets.chat.timeout(8000).emitWithAck("join", named).catch(failed);
    if (!answer) return;
    if (answer.error) return toast(answer.error);
    current = answer.room;
    Object.assign(room(current), { joined: true, unread: 0 });
    $("messages").replaceChildren();
    for (const message of answer.messages) show(message);
    for (const item of unsent) if (item.message.room === current) $("messages").append(item);
    for (const message of answer.messages.slice(-10)) report(message);
    sockets.presence.emit("enter", current);
    $("text").placeholder = `Say something in ${current}`;
    hint();
    drawRooms();
    scrollDown();
    letIn();
  }

  function hint() {
    $("hint").hidden = $("messages").childElementCount > 0;
    $("hint").textContent =
      `Nobody has said anything in ${current} yet. Say something and watch it become bytes, or open ` +
      "this page in a second window and talk to yourself.";
  }

  // Messages

  function clock(time) {
    return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  }

  /** A colour of one's own, the same on every page. */
  function hue(text) {
    let sum = 7;
    for (const char of text) sum = (sum * 31 + char.codePointAt(0)) % 360;
    return sum;
  }

  function avatar(person) {
    const node = element("span.avatar", { ariaHidden: "true" }, Array.from(person)[0].toUpperCase());
    node.style.setProperty("--hue", hue(person));
    return node;
  }

  function content(message) {
    if (message.text !== undefined) return element("p.text", {}, message.text);
    const { file } = message;
    if (!file.data) return element("p.text.gone", {}, `${file.name} (no longer kept)`);
    // Only bitmaps are shown, and only they keep their type: others might hold scripts.
    const bitmap = /^image\/(png|jpeg|gif|webp|avif)$/.test(file.type);
    const type = bitmap ? file.type : "application/octet-stream";
    const address = URL.createObjectURL(new Blob([file.data], { type }));
    const label = `${file.name}, ${Math.ceil(file.size / 1000)} kB`;
    const link = element("a", { href: address, download: file.name });
    if (bitmap) {
      const picture = element("img", { src: address, alt: file.name });
      const stick = atEnd();
      picture.addEventListener("load", () => stick && scrollDown());
      link.append(picture);
      return element("figure", {}, link, element("figcaption", {}, label));
    }
    link.append(element("span.file", { ariaHidden: "true" }, "⬇"), label);
    return element("p.text", {}, link);
  }

  function atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = $("messages");
    return scrollHeight - scrollTop - clientHeight < 40;
  }

  function scrollDown() {
    $("messages").scrollTop = $("messages").scrollHeight;
    $("newer").hidden = true;
  }

  const unsent = new Set(); // items of messages that the server has not acknowledged
  const own = new Set(); // ids of the messages that this page sent, by whatever socket
  const reported = new Set(); // ids of those whose author knows that they were shown here

  /** Tells the author that a message is on this page, unless nobody looks at it. */
  function report(message) {
    if (document.hidden || own.has(message.id) || reported.has(message.id)) return;
    reported.add(message.id);
    sockets.chat.emit("seen", current, message.id);
  }

  function show(message) {
    const mine = message.from === sockets.chat.id || own.has(message.id);
    const item = element(`li.message.${mine ? "mine" : "theirs"}`);
    const foot = element("span.foot", {}, element("time", {}, clock(message.time)));
    if (mine) foot.append(element("span.ticks", { title: "sending", ariaLabel: "sending" }, "○"));
    const bubble = element("div.bubble", {}, content(message), foot);
    if (!mine) {
      bubble.prepend(element("span.author", {}, message.name));
      item.append(avatar(message.name));
    }
    item.append(bubble);
    item.message = message;
    $("messages").append(item);
    if (message.id && mine) tick(item, "✓", "delivered to the server");
    return item;
  }

  /** The same for one that is new: it arrives, and who reads what is older is not disturbed. */
  function showNew(message) {
    const stick = atEnd() || message.from === sockets.chat.id;
    const item = show(message);
    item.classList.add("new");
    hint();
    if (stick) scrollDown();
    else $("newer").hidden = false;
    return item;
  }

  function tick(item, sign, title) {
    const ticks = item.querySelector(".ticks");
    if (!ticks || ticks.textContent === "✓✓") return;
    Object.assign(ticks, { textContent: sign, title, ariaLabel: title });
    ticks.classList.toggle("read", sign === "✓✓");
    ticks.classList.toggle("failed", sign === "!");
  }

  async function publish(message, ...args) {
    const item = showNew({ ...message, room: current, name, from: sockets.chat.id, time: Date.now() });
    unsent.add(item);
    scrollDown();
    try {
      await inside; // after a cut, the room has to be joined first
      const answer = await sockets.chat.timeout(15000).emitWithAck(...args);
      if (answer.error) throw new Error(answer.error);
      item.message.id = answer.id;
      own.add(answer.id);
      unsent.delete(item);
      tick(item, "✓", "delivered to the server");
    } catch (error) {
      tick(item, "!", "not delivered");
      failed(error);
    }
  }

  function received(message) {
    if (message.room !== current) {
      room(message.room).unread += 1;
      return drawRooms();
    }
    showNew(message);
    report(message);
  }

  // Files

  async function smaller(file) {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, PICTURE_SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = element("canvas", { width: bitmap.width * scale, height: bitmap.height * scale });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.8));
  }

  async function sendFile(file) {
    let data = file;
    if (data.size > FILE_LIMIT && file.type.startsWith("image/")) data = await smaller(file).catch(() => file);
    if (data.size > FILE_LIMIT) {
      const [has, may] = [data.size, FILE_LIMIT].map((size) => `${Math.ceil(size / 1000).toLocaleString()} kB`);
      return toast(`Not sent: ${file.name} has ${has}, and a file may have ${may}.`);
    }
    const about = { name: file.name || "picture", type: data.type };
    const bytes = await data.arrayBuffer();
    return publish({ file: { ...about, size: bytes.byteLength, data: bytes } }, "file", current, about, bytes);
  }

  // People

  const typists = new Map(); // id -> name

  function drawPeople() {
    const { here } = room(current);
    const names = Array.from(new Set(here.map((person) => person.name))); // who has two windows is one
    const chips = names.slice(0, 12).map((person) => element("span.person", {}, avatar(person), person));
    if (names.length > 12) chips.push(`and ${names.length - 12} more`);
    $("people").replaceChildren(...chips);
  }

  function drawTyping() {
    const names = Array.from(new Set(typists.values()));
    $("typing").textContent = names.length ? `${names.slice(0, 3).join(", ")} ${names.length > 1 ? "are" : "is"} typing …` : "";
  }

  let typingTimer;
  function typing() {
    if (!typingTimer) sockets.presence.volatile.emit("typing", true);
    clearTimeout(typingTimer);
    typingTimer = setTimeout(stopTyping, 2500);
  }

  function stopTyping() {
    if (typingTimer) sockets.presence.emit("typing", false);
    clearTimeout(typingTimer);
    typingTimer = undefined;
  }

  // The connection

  function status(text, state) {
    $("status").textContent = text;
    document.body.dataset.state = state;
  }

  function outside() {
    inside = new Promise((resolve) => (letIn = resolve));
  }

  /** Says in the chat what is wrong with the connection, or that all is well. */
  function notice(text = "") {
    Object.assign($("notice"), { textContent: text, hidden: !text });
  }

  function connect() {
    const transports = { upgrade: undefined, websocket: ["websocket"], polling: ["polling"] }[$("transport").value];
    const auth = { name };
    const chat = io({ forceNew: true, transports, auth });
    const presence = chat.io.socket("/presence", { auth });
    const trace = chat.io.socket("/trace");
    sockets = { chat, presence, trace };

    const connected = () => status(`connected over ${chat.io.engine.transport.name}`, "on");
    outside();
    chat.on("connect", () => {
      connected();
      notice();
      chat.io.engine.on("upgrade", connected);
      if ($("welcome").open) {
        $("welcome").close();
        if (matchMedia("(pointer: fine)").matches) $("text").focus();
      }
      for (const [named, { joined }] of rooms) if (joined && named !== current) chat.emit("join", named);
      enter(current);
    });
    chat.on("disconnect", (reason) => {
      outside();
      status("not connected", "off");
      notice(`The connection is lost (${reason}). What you send now waits.`);
      for (const socket of [chat, presence, trace]) if (!socket.active) socket.connect();
    });
    chat.on("connect_error", (error) => {
      status("not connected", "off");
      if (!chat.active) welcome(error.message);
      else notice("The server does not answer. What you send now waits.");
    });
    chat.io.on("reconnect_attempt", (count) => status(`trying again, attempt ${count}`, "off"));
    chat.on("rooms", (list) => {
      for (const known of rooms.values()) known.people = 0;
      for (const { name: named, people } of list) room(named).people = people;
      drawRooms();
    });
    chat.on("message", received);
    chat.on("seen", ({ id, name: who }) => {
      const item = Array.from($("messages").children).find((other) => other.message.id === id);
      if (item) tick(item, "✓✓", `seen by ${who}`);
    });

    presence.on("people", ({ room: named, people }) => {
      room(named).here = people;
      for (const id of typists.keys()) if (!people.some((person) => person.id === id)) typists.delete(id);
      drawPeople();
      drawTyping();
    });
    presence.on("typing", ({ room: named, id, name: who, typing: active }) => {
      if (active && named === current) typists.set(id, who);
      else typists.delete(id);
      drawTyping();
    });

    trace.on("connect", () => {
      layers.restart();
      askTcp();
    });
    trace.on("rows", (rows) => layers.take(rows));
    trace.on("connect_error", (error) => chat.connected && layers.say(`This server shows no layers: ${error.message}`));
  }

  /** TCP below all layers: what the server's kernel knows of this connection. */
  function askTcp() {
    clearTimeout(asking);
    asking = setTimeout(askTcp, 2000);
    // A question by polling is an exchange of its own, which the view would show again and again.
    const lasting = sockets.chat.io.engine.transport.name === "websocket";
    if (!lasting) showTcp(null);
    else if (sockets.trace.connected) sockets.trace.emit("tcp", showTcp);
  }

  function showTcp(info) {
    $("tcp").hidden = !info;
    if (!info) return;
    const parts = [
      ["round trip", `${info.roundTrip} ms`],
      ["congestion window", `${Math.round(info.window / 1000)} kB`],
      ["under way", `${info.inFlight} B`],
      ["not sent yet", `${info.unsent} B`],
      ["sent again", String(info.again)],
    ];
    $("tcp").replaceChildren(element("b", {}, "TCP"), ...parts.map(([what, value]) => element("span", {}, `${what} `, element("i", {}, value))));
  }

  function reconnect() {
    if (!sockets) return;
    for (const socket of Object.values(sockets)) socket.off().disconnect();
    sockets.chat.io.off();
    status("connecting", "off");
    connect();
  }

  function failed(error) {
    toast(error.message);
  }

  let toastTimer;
  function toast(text) {
    Object.assign($("toast"), { textContent: text, hidden: false });
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => ($("toast").hidden = true), 5000);
  }

  // The page

  const SOME = ["Ada", "Alan", "Barbara", "Claude", "Dennis", "Donald", "Edsger", "Frances", "Grace", "Hedy", "Radia", "Vint"];

  function welcome(problem = "") {
    $("problem").textContent = problem;
    if (!$("name").value) {
      $("name").value = sessionStorage.getItem("name") || SOME[Math.floor(Math.random() * SOME.length)];
    }
    if (!$("welcome").open) $("welcome").showModal();
    $("name").select();
  }

  $("welcome").addEventListener("cancel", (event) => event.preventDefault());
  $("welcome-form").addEventListener("submit", (event) => {
    event.preventDefault();
    name = $("name").value.trim();
    if (!name) return;
    sessionStorage.setItem("name", name);
    if (sockets) reconnect();
    else connect();
  });
  $("newer").addEventListener("click", scrollDown);
  $("messages").addEventListener("scroll", () => atEnd() && ($("newer").hidden = true));
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("text").value.trim();
    if (!text) return;
    $("text").value = "";
    stopTyping();
    publish({ text }, "say", current, text);
  });
  $("text").addEventListener("input", typing);
  $("attach").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    for (const file of $("file").files) sendFile(file);
    $("file").value = "";
  });
  document.addEventListener("paste", (event) => {
    for (const file of event.clipboardData.files) sendFile(file);
  });
  $("chat").addEventListener("dragover", (event) => event.preventDefault());
  $("chat").addEventListener("drop", (event) => {
    event.preventDefault();
    for (const file of event.dataTransfer.files) sendFile(file);
  });
  $("new-room").addEventListener("submit", (event) => {
    event.preventDefault();
    const named = $("room-name").value.trim();
    $("room-name").value = "";
    if (named) enter(named);
  });
  $("transport").addEventListener("change", reconnect);
  $("theme").addEventListener("click", () => self.switchTheme());
  const tabs = Array.from(document.querySelectorAll(".tabs button"));
  for (const tab of tabs) {
    tab.addEventListener("click", () => {
      document.body.dataset.tab = tab.dataset.tab;
      for (const other of tabs) other.setAttribute("aria-pressed", String(other === tab));
      layers.settle();
      scrollDown();
    });
  }
  document.body.dataset.tab = "chat";
  welcome();
})();
