// The demo in a browser: two windows chat, a picture arrives, the layers show every byte.
//
// It starts `$PYTHON -m rawsio serve` (or uses the server at DEMO_URL) and drives the Chromium at
// CHROMIUM, else /usr/bin/chromium.  Screenshots go into INTEROP_RESULTS, else a temporary folder.
"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");
const { after, before, describe, it } = require("node:test");
const zlib = require("node:zlib");
const { chromium } = require("playwright-core");
const { Reader } = require("../../rawsio/demo/wire.js");

const RESULTS = process.env.INTEROP_RESULTS || fs.mkdtempSync(path.join(os.tmpdir(), "demo-"));

const [WIDTH, HEIGHT] = [360, 200];

/** A picture that shades from left to right and from top to bottom, as PNG. */
function picture() {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(data.length, 0);
    ends.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
  };
  const head = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  head.writeUInt32BE(WIDTH, 0);
  head.writeUInt32BE(HEIGHT, 4);
  const rows = Array.from({ length: HEIGHT }, (_, y) =>
    [0, ...Array.from({ length: WIDTH }, (_, x) => shade(x, y)).flat()],
  );
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  const pixels = zlib.deflateSync(Buffer.from(rows.flat()));
  return Buffer.concat([signature, chunk("IHDR", head), chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))]);
}

function shade(x, y) {
  return [40 + Math.floor((x * 200) / WIDTH), 110 + Math.floor((y * 60) / HEIGHT), 110];
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

describe("the bytes explained", () => {
  let count = 0;
  const record = (dir, layer, data, cut = 4096) => ({
    ...{ n: ++count, t: 0, dir, layer, what: "unit", text: null },
    ...{ data: data.subarray(0, cut).toString("base64"), size: data.length, cut: data.length > cut },
  });

  function masked(opcode, text, fin = true) {
    const payload = Buffer.from(text);
    const key = Buffer.from([1, 2, 3, 250]);
    const short = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 255];
    short[0] |= 128;
    return Buffer.concat([
      Buffer.from([(fin ? 128 : 0) | opcode, ...short]),
      key,
      payload.map((byte, i) => byte ^ key[i & 3]),
    ]);
  }

  /** Every view explains each of its bytes once. */
  function check(row) {
    for (const view of [row.carrier, row.packet, row.message]) {
      if (!view) continue;
      let at = 0;
      for (const field of view.fields) {
        assert.equal(field.from, at, JSON.stringify(row));
        assert.ok(field.help && field.name);
        at = field.to;
      }
      assert.equal(at, view.size, row.title);
    }
    return [row.sent, row.kind, row.title, row.text];
  }

  it("finds the same frames however they are cut", () => {
    const stream = Buffer.concat([
      masked(1, '451-/files,7["file","é",{"_placeholder":true,"num":0}]'),
      masked(2, Buffer.alloc(300, 7)),
      masked(1, "3"),
      masked(1, '42["a', false),
      masked(0, 'b"]'),
      masked(8, Buffer.from([3, 232])),
    ]);
    const whole = new Reader().push(record("in", "websocket", stream)).map(check);
    assert.deepEqual(whole.map(([, kind]) => kind), [
      "event", "attachment", "heartbeat", "event", "attachment", "control",
    ]);
    assert.deepEqual(whole[0], [true, "event", "file", '"é",{"_placeholder":true,"num":0}']);
    for (let cut = 1; cut < stream.length; cut++) {
      const reader = new Reader();
      const halves = [stream.subarray(0, cut), stream.subarray(cut)];
      const rows = halves.flatMap((half) => reader.push(record("in", "websocket", half)));
      assert.deepEqual(rows.map(check), whole, `cut at ${cut}`);
    }
  });

  it("goes on behind a frame of which only the beginning is known", () => {
    const reader = new Reader();
    const long = masked(2, Buffer.alloc(5000));
    const after = masked(1, '42["after"]');
    const parts = [long.subarray(0, 3000), long.subarray(3000), after];
    const rows = parts.flatMap((part) => reader.push(record("in", "websocket", part, 64)));
    assert.deepEqual(rows.map(check).map(([, , title]) => title), ["attachment", "after"]);
    assert.equal(rows[0].carrier.size, long.length);
  });

  it("takes HTTP apart, and the packets of a body", () => {
    const reader = new Reader();
    const push = (dir, text) => reader.push(record(dir, "http", Buffer.from(text))).map(check);
    assert.deepEqual(push("in", "GET /socket.io/?EIO=4&sid=x HTTP/1.1\r\nHost: a\r\n\r\n"), [
      [true, "http", "GET poll", "waits for packets"],
    ]);
    const body = '42["é"]\x1ebAQID\x1e42/trace,["trace",[]]\x1e2';
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
    assert.deepEqual(push("out", head), []);
    assert.deepEqual(push("out", body).map(([, kind, title]) => [kind, title]), [
      ["event", "é"],
      ["attachment", "attachment"],
      ["heartbeat", "ping"],
    ]);
    assert.deepEqual(push("out", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"), [
      [false, "http", "101", "switching protocols"],
    ]);
  });

  it("does not stumble over what is neither", () => {
    const reader = new Reader();
    for (const junk of ["", "\0", "\xff\xff\xff", "\x81\x7f", "no head at all", "9", "\x81\x00", "\x81\x01x"]) {
      for (const layer of ["http", "websocket"]) {
        for (const dir of ["in", "out"]) {
          reader.push(record(dir, layer, Buffer.from(junk, "latin1"))).forEach(check);
        }
      }
    }
  });
});

/** In the page: the texts whose contrast is below 4.5, which WCAG 2 asks for at level AA. */
function faint() {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const channels = (color) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    return Array.from(context.getImageData(0, 0, 1, 1).data);
  };
  const mix = (over, under, alpha) => over.map((value, i) => value * alpha + under[i] * (1 - alpha));
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const found = new Set();
  for (const node of document.querySelectorAll("body *")) {
    const text = Array.from(node.childNodes).some((child) => child.nodeType === 3 && child.data.trim());
    if (!text || !node.checkVisibility() || node.closest("dialog, option, script")) continue;
    const style = getComputedStyle(node);
    const under = behind(node);
    const ink = mix(channels(style.color).slice(0, 3), under, Number(style.opacity));
    const [dark, light] = [luminance(ink), luminance(under)].sort((a, b) => a - b);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) found.add(`${node.tagName}.${node.className} ${contrast.toFixed(2)}`);
  }
  return Array.from(found);
}

describe("the demo in Chromium", { timeout: 120_000 }, () => {
  let server;
  let browser;
  let url = process.env.DEMO_URL;
  let ada;
  let grace;
  const complaints = [];
  let away = false; // the server is, on purpose: what Chromium says about that is no complaint
  // Refused is what is tried anew; the poll that hung in the killed server was reset, or stayed empty.
  const LOST = /net::ERR_(CONNECTION_(REFUSED|RESET|CLOSED)|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED)/;

  /** Start the demo; resolves to its address. */
  async function serve(port = 0) {
    const args = ["-m", "rawsio", "serve", "--port", String(port)];
    server = spawn(process.env.PYTHON || "python3", args, { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(readline.createInterface({ input: server.stdout }), "line");
    return /http:\S+/.exec(line)[0];
  }

  /** Open a window, and enter the chat under a name. */
  async function enter(name, options) {
    const context = await browser.newContext({ reducedMotion: "reduce", ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on("console", (message) => {
      if (away && LOST.test(message.text())) return;
      if (message.type() === "error" || message.type() === "warning") {
        complaints.push(`${name}: ${message.text()}`);
      }
    });
    page.on("pageerror", (error) => complaints.push(`${name}: ${error}`));
    await page.goto(url);
    await page.fill("#name", name);
    await page.keyboard.press("Enter");
    await page.waitForSelector("body[data-state=on]");
    await page.waitForSelector("#rooms [aria-current]");
    return page;
  }

  async function say(page, text) {
    await page.fill("#text", text);
    await page.keyboard.press("Enter");
  }

  /** Join a room that may be new. */
  async function join(page, room) {
    await page.fill("#room-name", room);
    await page.keyboard.press("Enter");
    await page.locator("#rooms [aria-current]", { hasText: room }).waitFor();
  }

  function screenshot(page, name) {
    return page.screenshot({ path: path.join(RESULTS, `demo-${name}.png`) });
  }

  /** Choose the newest message of the layer view that matches, and return what the panels say. */
  async function layersOf(page, selector) {
    await page.locator(`.rows li${selector} button`).last().click();
    const panel = (which) => page.locator(`.layer.on-${which}`);
    const ascii = (which) =>
      panel(which).locator(".byte i").evaluateAll((all) => all.map((cell) => cell.textContent).join(""));
    return { panel, ascii };
  }

  before(async () => {
    if (!url) url = await serve();
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
      ],
    });
    ada = await enter("Ada", { viewport: { width: 1360, height: 860 }, colorScheme: "light" });
    grace = await enter("Grace", { viewport: { width: 700, height: 900 }, colorScheme: "dark" });
  });

  after(async () => {
    if (browser) await browser.close();
    if (!server) return;
    server.kill("SIGTERM");
    assert.equal((await once(server, "exit"))[0], 0, "the server ended with an error");
  });

  it("shows who is there, on the second namespace", async () => {
    await ada.waitForSelector("#people .person:has-text('Grace')");
    await grace.waitForSelector("#people .person:has-text('Ada')");
    await ada.waitForSelector("#status:has-text('connected over websocket')");
  });

  it("carries messages both ways, with their ticks", async () => {
    await say(ada, "Hello Grace, <b>☃ 😀</b>");
    await grace.waitForSelector(".message.theirs:has-text('Hello Grace, <b>☃ 😀</b>')");
    await ada.waitForSelector(".message.mine:last-child .ticks[title='seen by Grace']");
    await say(grace, "Hi Ada!");
    await ada.waitForSelector(".message.theirs:has-text('Hi Ada!')");
    await grace.waitForSelector(".message.mine:last-child .ticks:text('✓')");
  });

  it("says that somebody is typing", async () => {
    await grace.locator("#text").pressSequentially("t");
    await ada.waitForSelector("#typing:has-text('Grace is typing')");
    await grace.fill("#text", "");
  });

  it("carries a picture, and a file", async () => {
    await ada.setInputFiles("#file", { name: "shades.png", mimeType: "image/png", buffer: picture() });
    const shown = grace.locator(".message.theirs figure img");
    await shown.waitFor();
    const pixels = await shown.evaluate(async (image) => {
      await image.decode();
      const canvas = Object.assign(document.createElement("canvas"), { width: 360, height: 200 });
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      const { data } = context.getImageData(0, 0, 360, 200);
      const at = (x, y) => Array.from(data.slice(4 * (360 * y + x), 4 * (360 * y + x) + 3));
      return [at(0, 0), at(359, 0), at(0, 199), at(359, 199)];
    });
    assert.deepEqual(pixels, [shade(0, 0), shade(359, 0), shade(0, 199), shade(359, 199)]);
    const notes = Buffer.from("one line\n".repeat(30_000));
    await grace.setInputFiles("#file", { name: "notes.txt", mimeType: "text/plain", buffer: notes });
    await ada.waitForSelector(".message.theirs a[download='notes.txt']:has-text('270 kB')");
    await grace.waitForSelector(".message.mine:last-child .ticks:text('✓')");
  });

  it("shows the message as packet, packet and masked frame, byte by byte", async () => {
    await say(ada, "look at the bytes");
    const { panel, ascii } = await layersOf(ada, ".event:has(.sent):has-text('look at the bytes')");
    assert.match(await ascii("message"), /^2\d+\["say","lobby","look␣at␣the␣bytes"\]$/);
    assert.match(await ascii("packet"), /^42\d+\["say"/);
    assert.doesNotMatch(await ascii("carrier"), /look/);
    const fields = await panel("carrier").locator(".field .name").allTextContents();
    assert.deepEqual(fields, ["FIN, RSV, opcode", "MASK, length", "masking key", "payload, masked"]);
    assert.equal(await panel("carrier").locator(".bit").first().textContent(), "1");
    await panel("message").locator(".byte").first().hover();
    assert.equal(await ada.locator(".byte.lit").count(), 3, "the same byte on three layers");
    await screenshot(ada, "wide");
    await panel("carrier").locator("input").check();
    assert.match(await ascii("carrier"), /^.{6}42\d+\["say"/);
    await panel("carrier").locator(".byte").nth(8).hover();
    assert.match(await ada.locator(".explain").textContent(), /on the wire XOR 0x/);
    await ada.click("[data-do=follow]");
  });

  it("shows what came, unmasked, and attachments as frames of their own", async () => {
    const { panel, ascii } = await layersOf(grace, ".event:has(.received):has-text('look at the bytes')");
    assert.match(await ascii("carrier"), /42\["message",.*look␣at␣the␣bytes/);
    assert.match(await panel("carrier").textContent(), /not masked/);
    await layersOf(grace, ".attachment:has(.sent):has-text('attachment')");
    assert.match(await panel("carrier").textContent(), /(FIN|more), binary/); // Chromium cuts large ones
    await screenshot(grace, "700");
  });

  it("shows HTTP, head and body, and never its own stream", async () => {
    const { panel } = await layersOf(ada, ".http:has-text('GET upgrade')");
    const names = await panel("carrier").locator(".field .name").allTextContents();
    assert.ok(names.includes("Sec-WebSocket-Key"), String(names));
    const open = await layersOf(ada, ".engine:has-text('open')");
    assert.match(await open.panel("carrier").textContent(), /status lineHTTP\/1.1 200 OK/);
    assert.match(await open.ascii("packet"), /^0\{"sid":"/);
    await screenshot(ada, "http");
    assert.equal(await ada.locator(".rows .event:has-text('trace')").count(), 0);
    assert.ok((await ada.locator(".rows li").count()) > 20);
  });

  it("pauses, clears and hides heartbeats", async () => {
    await ada.click("[data-do=clear]");
    await ada.click("[data-do=pause]");
    await say(grace, "while paused");
    await ada.waitForSelector("[data-do=pause]:has-text('Resume (')");
    assert.equal(await ada.locator(".rows li").count(), 0);
    await ada.click("[data-do=pause]");
    await ada.waitForSelector(".rows li:has-text('while paused')");
    await ada.uncheck("[data-do=beats]");
    assert.equal(await ada.locator(".rows li.heartbeat:visible").count(), 0);
  });

  it("shows TCP beside the layers", async () => {
    await ada.waitForSelector("#tcp:not([hidden])");
    assert.match(await ada.textContent("#tcp"), /^TCP: round trip [\d.]+ ms, window \d+ kB, \d+ B under way/);
  });

  it("works over polling alone, where the same packets are in HTTP bodies", async () => {
    await ada.selectOption("#transport", "polling");
    await ada.waitForSelector("#status:has-text('connected over polling')");
    await ada.waitForSelector("#rooms [aria-current]");
    await ada.waitForSelector("#people .person:has-text('Ada')");
    await say(ada, "by post");
    await grace.waitForSelector(".message.theirs:has-text('by post')");
    const { panel, ascii } = await layersOf(ada, ".event:has(.sent):has-text('by post')");
    assert.match(await ascii("packet"), /^42\d+\["say"/);
    assert.match(await panel("carrier").textContent(), /request linePOST \/socket\.io\//);
    // The records travel in polls themselves, which must not be recorded again, and again.
    const count = () => ada.locator(".rows li").count();
    await ada.waitForTimeout(500);
    const before = await count();
    await ada.waitForTimeout(1500);
    assert.equal(await count(), before);
  });

  it("keeps rooms apart, and remembers what was said", async () => {
    await join(grace, "greenhouse");
    assert.match(await grace.locator("#hint").textContent(), /Nobody has said anything in greenhouse/);
    await say(grace, "only for the greenhouse");
    await ada.waitForSelector("#rooms button:has-text('greenhouse')");
    assert.equal(await ada.locator(".message:has-text('only for the greenhouse')").count(), 0);
    await ada.click("#rooms button:has-text('greenhouse')");
    await ada.waitForSelector(".message:has-text('only for the greenhouse')");
  });

  it("lets a room be left, and goes back to the lobby", async () => {
    await grace.click("#rooms .leave");
    await grace.waitForSelector("#rooms [aria-current]:has-text('lobby')");
    await ada.click("#rooms .leave");
    await ada.waitForSelector("#rooms [aria-current]:has-text('lobby')");
    await grace.waitForSelector("#rooms:not(:has-text('greenhouse'))");
  });

  it("refuses a file that is too large, and says why", async () => {
    const buffer = Buffer.alloc(800_000);
    await grace.setInputFiles("#file", { name: "huge.bin", mimeType: "application/octet-stream", buffer });
    await grace.waitForSelector("#toast:has-text('Not sent: huge.bin has 800 kB, and a file may have 700 kB')");
  });

  it("shows markup as what it is: in names, rooms, texts, file names and types", async () => {
    const evil = "<img src=x onerror='document.title=1'>";
    const mallory = await enter(evil.slice(0, 24), { viewport: { width: 390, height: 800 } });
    await ada.locator("#people .person", { hasText: evil.slice(0, 24) }).waitFor();
    for (const room of ["<b onclick=alert(1)>&lt;</b>", "lobby"]) await join(mallory, room);
    await ada.locator("#rooms button", { hasText: "<b onclick=alert(1)>&lt;</b>" }).waitFor();
    await say(mallory, evil);
    const buffer = Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>");
    for (const mimeType of ["image/svg+xml", "text/html", "image/png\"><script>"]) {
      await mallory.setInputFiles("#file", { name: `${evil.replace("/", "")}.svg`, mimeType, buffer });
    }
    await ada.locator(".message.theirs a[download*=onerror]").nth(2).waitFor();
    await ada.locator(".message.theirs p.text", { hasText: evil }).first().waitFor();
    assert.equal(await ada.locator(".messages img[src=x], .people img, #rooms b").count(), 0);
    assert.equal(await ada.title(), "rawsio chat");
    await mallory.context().close();
  });

  it("explains byte by byte to who uses the keyboard", async () => {
    await say(ada, "with the keyboard");
    await layersOf(ada, ".event:has(.sent):has-text('with the keyboard')");
    await ada.locator(".layer.on-message .dump").focus();
    await ada.keyboard.press("ArrowRight");
    assert.match(await ada.locator(".explain").textContent(), /^packet type, byte 0: .*“2”/);
    for (let i = 0; i < 5; i++) await ada.keyboard.press("ArrowRight");
    assert.match(await ada.locator(".explain").textContent(), /event name, byte 5/);
    await ada.keyboard.press("End");
    assert.match(await ada.locator(".explain").textContent(), /“\]”/);
    await ada.click("[data-do=follow]");
  });

  it("can be read, in light and in dark", async () => {
    for (const page of [ada, grace]) assert.deepEqual(await page.evaluate(faint), []);
  });

  it("hands out the client as an ES module, too", async () => {
    const answer = await ada.evaluate(async () => {
      const { io, default: same, Manager, protocol } = await import("/socket.io/socket.io.esm.min.js");
      const socket = io({ forceNew: true, auth: { name: "Module" } });
      const joined = await socket.timeout(8000).emitWithAck("join", "modules");
      socket.disconnect();
      return [io === same, socket.io instanceof Manager, protocol, joined.room];
    });
    assert.deepEqual(answer, [true, true, 5, "modules"]);
  });

  it("fits on a phone, as two tabs", async () => {
    const phone = await enter("Hedy", { viewport: { width: 390, height: 800 }, hasTouch: true });
    await phone.waitForSelector(".message:has-text('look at the bytes')");
    const wide = () => phone.evaluate(() => document.documentElement.scrollWidth);
    assert.ok((await wide()) <= 390);
    await screenshot(phone, "phone-chat");
    await phone.click("[data-tab=layers]");
    await layersOf(phone, ".event:has(.sent)");
    assert.ok((await wide()) <= 390);
    await screenshot(phone, "phone-layers");
    await phone.context().close();
  });

  it("says that the server is away, and sends what was written meanwhile", { skip: process.env.DEMO_URL && "needs a server of its own" }, async () => {
    away = true;
    server.kill("SIGKILL");
    await once(server, "exit");
    await ada.waitForSelector("#notice:has-text('What you send now waits')");
    await say(ada, "from before");
    await screenshot(ada, "away");
    await serve(new URL(url).port);
    await grace.waitForSelector(".message.theirs:has-text('from before')");
    await ada.waitForSelector(".message.mine:last-child .ticks:text('✓')");
    assert.ok(await ada.locator("#notice").isHidden());
    away = false;
  });

  it("leaves nothing to complain about in the console", () => {
    assert.deepEqual(complaints, []);
  });
});
