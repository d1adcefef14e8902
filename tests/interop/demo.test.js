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
const { ANSWER_MS } = require("./harness");

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

describe("the demo in Chromium", { timeout: 9 * ANSWER_MS }, () => {
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
    page.setDefaultTimeout(ANSWER_MS);
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

  /** Choose the newest message of the layer view that matches; return what shows its layers. */
  async function layersOf(page, selector) {
    const id = await page.locator(`.row${selector}`).last().getAttribute("id");
    await page.locator(`.row[id="${id}"]`).click();
    await page.locator(`.layers-of[data-row="${id}"]`).waitFor();
    const layer = (name) => page.locator(".layer", { has: page.locator(`h3:has-text("${name}")`) });
    const ascii = (name) =>
      layer(name).first().locator(".byte i").evaluateAll((all) => all.map((cell) => cell.textContent).join(""));
    const fields = (name) => layer(name).first().locator(".field .name").allTextContents();
    return { layer, ascii, fields };
  }

  before(async () => {
    if (!url) url = await serve();
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
      timeout: 3 * ANSWER_MS,
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
    for (const page of [ada, grace]) await page.waitForSelector("#status:has-text('connected over websocket')");
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
    // It is a volatile event, told when she begins, and taken back when she pauses: until it is seen.
    const shown = ada.waitForSelector("#typing:has-text('Grace is typing')").then(() => true);
    const seen = (ms) => Promise.race([shown, grace.waitForTimeout(ms)]);
    do {
      for (let n = 0; n < 10 && !(await seen(300)); n++) await grace.locator("#text").pressSequentially("t");
    } while (!(await seen(3000)));
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

  it("shows the message as masked frame, packet and packet, byte by byte", async () => {
    await say(ada, "look at the bytes");
    await ada.waitForSelector(".row:has-text('say'):has-text('look at the bytes'):has-text('answered in')");
    const { layer, ascii, fields } = await layersOf(ada, ".sent:has-text('look at the bytes')");
    assert.match(await ascii("Socket.IO packet"), /^2\d+\["say","lobby","look␣at␣the␣bytes"\]$/);
    assert.match(await ascii("Engine.IO packet"), /^42\d+\["say"/);
    assert.doesNotMatch(await ascii("WebSocket frame"), /look/);
    assert.deepEqual((await fields("WebSocket frame")).slice(0, 8), [
      "FIN", "RSV1", "RSV2, RSV3", "opcode", "MASK", "length", "masking key", "payload",
    ]);
    assert.deepEqual(await fields("Socket.IO packet"), ["type", "id", "payload", "0", "1", "2"]);
    assert.equal(await layer("WebSocket frame").locator(".bit").first().textContent(), "1");
    await layer("Socket.IO packet").locator(".byte").first().hover();
    assert.equal(await ada.locator(".byte.lit").count(), 3, "the same byte on three layers");
    assert.match(await ada.locator(".explain").textContent(), /^Byte 0 of the Socket\.IO packet: 0x32 “2”.*WebSocket frame: 0x[0-9a-f]{2}, payload/);
    await screenshot(ada, "wide");
  });

  it("pairs an event with its acknowledgement, and goes from one to the other", async () => {
    await ada.click(".about button:has-text('go to the acknowledgement')");
    await ada.waitForSelector(".row[data-kind=ack][aria-selected=true]:has-text('of say')");
    await ada.click(".about button:has-text('go to the event')");
    await ada.waitForSelector(".row[data-kind=event][aria-selected=true]:has-text('look at the bytes')");
    await ada.click(".toolbar button:has-text('Follow')");
  });

  it("shows what came, unmasked, and attachments as messages of their own", async () => {
    const { ascii, layer } = await layersOf(grace, ".received:has-text('look at the bytes')");
    assert.match(await ascii("WebSocket frame"), /42\["message",.*look␣at␣the␣bytes/);
    assert.match(await layer("WebSocket frame").textContent(), /MASK0a server does not mask/);
    await layersOf(grace, ".sent[data-kind=binary]");
    assert.match(await layer("WebSocket frame").textContent(), /binary|continuation/); // Chromium cuts large ones
    await screenshot(grace, "700");
  });

  it("shows HTTP and what it is for, and never its own stream", async () => {
    const upgrade = await layersOf(ada, ".sent[data-kind=http]:has-text('upgrade to WebSocket')");
    const names = await upgrade.fields("HTTP request head");
    assert.ok(names.includes("Sec-WebSocket-Key"), String(names));
    const row = ada.locator(".row").first();
    assert.match(await row.textContent(), /handshake GET \/socket\.io\//);
    const open = await layersOf(ada, ".received[data-kind=engine]:has-text('open')");
    assert.match(await open.ascii("Engine.IO packet"), /^0\{"sid":"/);
    assert.ok((await open.fields("Engine.IO packet")).includes('"pingInterval"'));
    await layersOf(ada, ".sent[data-kind=http]:has-text('handshake')");
    await screenshot(ada, "http");
    assert.equal(await ada.locator(".row[data-kind=event]:has-text('/trace')").count(), 0);
    assert.ok((await ada.locator(".row").count()) > 20);
  });

  it("says what a rule is", async () => {
    await layersOf(ada, ".sent:has-text('look at the bytes')");
    await ada.locator(".field .id", { hasText: "6455-5.1-mask" }).first().click();
    await ada.waitForSelector(".rule:has-text('section 5.1 Overview')");
    await screenshot(ada, "rule");
    await ada.click(".rule button");
    assert.ok(await ada.locator(".rule").isHidden());
    await ada.click(".toolbar button:has-text('Follow')");
  });

  it("searches, and filters by layer and direction", async () => {
    const shown = ada.locator(".row:not([hidden])");
    const all = await shown.count();
    await ada.fill(".toolbar .search", "look at the bytes");
    assert.equal(await shown.count(), 1);
    await ada.fill(".toolbar .search", "");
    await ada.selectOption(".toolbar select[aria-label=Layer]", "Socket.IO");
    const packets = await shown.count();
    assert.ok(packets > 5 && packets < all);
    await ada.selectOption(".toolbar select[aria-label='Who sent it']", "client");
    assert.equal(await ada.locator(".row.received:not([hidden])").count(), 0);
    for (const name of ["Layer", "Who sent it"]) await ada.selectOption(`.toolbar select[aria-label='${name}']`, "");
  });

  it("pauses, clears and hides heartbeats", async () => {
    await ada.click(".toolbar button:has-text('Pause')");
    await ada.click(".toolbar button:has-text('Clear')");
    await say(grace, "while paused");
    await ada.waitForSelector(".toolbar button:has-text('Resume (')");
    assert.equal(await ada.locator(".row").count(), 0);
    await ada.click(".toolbar button:has-text('Resume')");
    await ada.waitForSelector(".row:has-text('while paused')");
    await ada.uncheck(".toolbar input[type=checkbox]");
    assert.equal(await ada.locator(".row[data-kind=heartbeat]:visible").count(), 0);
  });

  it("shows TCP beside the layers", async () => {
    await ada.waitForSelector("#tcp:not([hidden])");
    assert.match(await ada.textContent("#tcp"), /^TCPround trip [\d.]+ ms *congestion window \d+ kB *under way \d+ B/);
  });

  it("works over polling alone, where the same packets are in HTTP bodies", async () => {
    await ada.selectOption("#transport", "polling");
    await ada.waitForSelector("#status:has-text('connected over polling')");
    await ada.waitForSelector("#rooms [aria-current]");
    await ada.waitForSelector("#people .person:has-text('Ada')");
    await say(ada, "by post");
    await grace.waitForSelector(".message.theirs:has-text('by post')");
    const { ascii } = await layersOf(ada, ".sent[data-kind=event]:has-text('by post')");
    assert.match(await ascii("HTTP body"), /42\d+\["say"/);
    // The rows travel in polls themselves, which must not be recorded again, and again.
    // Then there would be no second and a half without a row; now there is, however slow the machine.
    const count = () => ada.locator(".row").count();
    let before = -1;
    for (const end = Date.now() + ANSWER_MS; before !== (await count()) && Date.now() < end; ) {
      before = await count();
      await ada.waitForTimeout(1500);
    }
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

  it("can do all with the keyboard alone", async () => {
    await say(grace, "with the keyboard");
    await grace.waitForSelector(".row:has-text('with the keyboard')");
    const explained = () => grace.locator(".explain").textContent();
    const press = async (...keys) => {
      for (const key of keys) await grace.keyboard.press(key);
    };
    const focused = () => grace.evaluate(() => document.activeElement.className || document.activeElement.tagName);
    // Every arrow key in every part, also where there is nothing to go to.
    const keys = ["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight", "End", "Home", "PageUp", "Enter", "Escape"];
    await grace.focus(".toolbar .search");
    await press("Tab", "Tab", "Tab", "Tab", "Tab");
    while ((await focused()) !== "rows") await press("Tab");
    await press(...keys, "End");
    await grace.waitForSelector(".row[aria-selected=true]:has-text('with the keyboard'), .row:last-child[aria-selected=true]");
    while (!(await grace.locator(".row[aria-selected=true]").textContent()).includes("with the keyboard")) await press("ArrowUp");
    await grace.waitForSelector(".about:has-text('say')");
    while ((await focused()) !== "dump") await press("Tab");
    await press("ArrowRight");
    assert.match(await explained(), /^Byte 0 of the WebSocket frame: 0x81/);
    await press(...keys, "End");
    assert.match(await explained(), /^Byte \d+ of the WebSocket frame/);
    await press("Tab");
    assert.match(await focused(), /field/);
    await press(...keys);
    await grace.waitForSelector(".rule:not([hidden])");
    while ((await focused()) !== "PRE") await press("Shift+Tab");
    await press("Escape");
    assert.ok(await grace.locator(".rule").isHidden());
    await grace.locator(".dump").last().focus();
    await press("Home");
    assert.match(await explained(), /^Byte 0 of the Socket\.IO packet: 0x32 “2”. type = 2/);
    await press("Tab", "End");
    assert.match(await explained(), /^2 = "with the keyboard"/);
    await press("ArrowLeft", "ArrowLeft");
    assert.equal(await grace.locator(".field[aria-expanded=false]").count(), 1, "the payload is folded");
    await press("ArrowRight", "ArrowRight");
    assert.match(await explained(), /^0 = "say"/);
    await grace.click(".toolbar button:has-text('Follow')");
  });

  it("counts who has two windows as one", async () => {
    const again = await enter("Ada", { viewport: { width: 700, height: 700 } });
    await grace.waitForSelector("#people .person:has-text('Ada')");
    assert.equal(await grace.locator("#people .person", { hasText: "Ada" }).count(), 1);
    await say(again, "from the second window"); // behind what is told of her coming
    await grace.waitForSelector(".message.theirs:has-text('from the second window')");
    await grace.locator("#rooms [aria-current]", { hasText: /^# lobby2$/ }).waitFor();
    await again.context().close();
  });

  it("shows every room, however many there are", async () => {
    for (let i = 0; i < 6; i++) await join(grace, `a room with a long name ${i}`);
    const clipped = () =>
      grace.evaluate(() => {
        const box = document.querySelector(".rooms").getBoundingClientRect();
        return Array.from(document.querySelectorAll("#rooms button")).filter((tab) => {
          const its = tab.getBoundingClientRect();
          return its.left < box.left || its.right > box.right + 0.5 || tab.scrollWidth > tab.clientWidth + 1;
        }).length;
      });
    assert.equal(await clipped(), 0);
    await screenshot(grace, "rooms");
    for (let i = 5; i >= 0; i--) {
      await grace.click(`#rooms button:has-text('a room with a long name ${i}')`);
      await grace.locator("#rooms [aria-current]", { hasText: `long name ${i}` }).waitFor();
      await grace.click("#rooms .leave");
      await grace.waitForSelector("#rooms [aria-current]:has-text('lobby')");
    }
  });

  it("can be read, in light and in dark", async () => {
    for (const page of [ada, grace]) assert.deepEqual(await page.evaluate(faint), []);
  });

  it("hands out the client as an ES module, too", async () => {
    const answer = await ada.evaluate(async () => {
      const { io, default: same, Manager, protocol } = await import("/socket.io/socket.io.esm.min.js");
      const socket = io({ forceNew: true, transports: ["polling"], auth: { name: "Module" } });
      const joined = await socket.timeout(60_000).emitWithAck("join", "modules");
      socket.disconnect();
      return [io === same, socket.io instanceof Manager, protocol, joined.room];
    });
    assert.deepEqual(answer, [true, true, 5, "modules"]);
  });

  it("fits on a phone, as two tabs", async () => {
    const phone = await enter("Hedy", { viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true });
    await phone.waitForSelector(".message:has-text('look at the bytes')");
    const wide = () => phone.evaluate(() => document.documentElement.scrollWidth);
    assert.ok((await wide()) <= 390);
    await phone.waitForSelector("#status:has-text('connected over websocket')", { state: "attached" });
    await say(phone, "by phone");
    await screenshot(phone, "phone-chat");
    await phone.click("[data-tab=layers]");
    await layersOf(phone, ".sent:has-text('by phone')");
    assert.match(await phone.textContent(".explain"), /Tap a byte/);
    await phone.locator(".layer .byte").nth(1).tap();
    assert.match(await phone.textContent(".explain"), /^Byte 1 of the WebSocket frame/);
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
