// The page of `rawsio trace` in a browser: official clients talk through the proxy, the page shows it.
//
// It starts the server under test, `$PYTHON -m rawsio trace` before it, and drives the Chromium at
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
const { chromium } = require("playwright-core");
const { ANSWER_MS, startServer } = require("./harness");

const RESULTS = process.env.INTEROP_RESULTS || fs.mkdtempSync(path.join(os.tmpdir(), "trace-"));
const DESKTOP = { viewport: { width: 1400, height: 850 } };
const PHONE = { viewport: { width: 390, height: 800 }, isMobile: true, hasTouch: true };

describe("the page of the proxy", () => {
  const problems = [];
  let server, proxy, browser, address, target;

  before(async () => {
    server = await startServer("client");
    const command = ["-m", "rawsio", "trace", "--to", server.url];
    proxy = spawn(process.env.PYTHON || "python3", command, { stdio: ["ignore", "pipe", "inherit"] });
    // An iterator: both lines may come in one piece, and nobody would hear the second event.
    const lines = readline.createInterface({ input: proxy.stdout })[Symbol.asyncIterator]();
    target = (await lines.next()).value;
    address = (await lines.next()).value.split(" ").pop();
    const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"], timeout: 3 * ANSWER_MS });
    const client = [path.join(__dirname, "captured_client.js"), new URL(target).port];
    const [code] = await once(spawn("node", client, { stdio: "inherit" }), "exit");
    assert.equal(code, 0);
  });

  after(async () => {
    await browser?.close();
    proxy.kill("SIGTERM");
    const [code] = await once(proxy, "exit");
    assert.equal(code, 0);
    await server.stop();
  });

  async function open(options) {
    const page = await browser.newPage(options);
    page.setDefaultTimeout(ANSWER_MS);
    page.on("console", (message) => problems.push(message.text()));
    page.on("pageerror", (error) => problems.push(String(error)));
    await page.goto(address);
    // All that was recorded comes in one piece; behind it, what the client's end still caused.
    const rows = page.locator(".row");
    for (let seen = -1; seen < 40 || (await rows.count()) > seen; await page.waitForTimeout(500)) seen = await rows.count();
    return page;
  }

  const shown = (page) => page.locator(".row:not([hidden])");

  it("searches, filters, pairs acknowledgements, and hides heartbeats", async () => {
    const page = await open(DESKTOP);
    const all = await shown(page).count();
    await page.fill(".search", "echo back");
    const found = await shown(page).count(); // over three transports, a packet and its attachment
    assert.ok(found >= 4 && found <= 6, `${found} rows`);
    await page.fill(".search", "");
    await page.uncheck(".toolbar input[type=checkbox]");
    const loud = await shown(page).count();
    assert.ok(loud < all && (await page.textContent(".rows")).includes("ends a poll that waits"));
    assert.ok(!(await shown(page).allTextContents()).some((text) => text.includes("ends a poll that waits")));
    await page.selectOption("select[aria-label=Layer]", "Socket.IO");
    assert.ok((await shown(page).count()) < loud);
    assert.match(await page.locator(".between:not(:empty)").first().textContent(), /answered in [\d.]+ ms/);
    await page.close();
  });

  it("explains a byte and its rule, with the keyboard alone", async () => {
    const page = await open(DESKTOP);
    await page.focus(".search");
    await page.keyboard.type("ack 0");
    await page.focus(".rows");
    await page.keyboard.press("ArrowDown");
    await page.waitForSelector(".row[aria-selected=true]");
    await page.waitForSelector(".field");
    await page.focus(".dump");
    for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft"]) await page.keyboard.press(key);
    assert.match(await page.textContent(".explain"), /Byte 0 of the WebSocket frame: 0x[0-9a-f]{2}/);
    await page.locator(".explain button").focus();
    await page.keyboard.press("Enter");
    await page.waitForSelector(".rule:not([hidden])");
    assert.match(await page.textContent(".rule"), /^from /m);
    await page.locator(".rule pre").focus();
    await page.keyboard.press("Escape");
    await page.locator(".field").first().focus();
    for (let i = 0; i < 12; i++) await page.keyboard.press("ArrowDown");
    assert.match(await page.textContent(".field.lit"), /.+/);
    await page.screenshot({ path: path.join(RESULTS, "trace-desktop.png") });
    await page.close();
  });

  it("fits a phone, and the dark", async () => {
    for (const [name, options] of [["phone", PHONE], ["dark", { ...DESKTOP, colorScheme: "dark" }]]) {
      const page = await open(options);
      await page.locator(".row").nth(5).click();
      await page.waitForSelector(".field");
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name}: ${wide} pixels too wide`);
      await page.screenshot({ path: path.join(RESULTS, `trace-${name}.png`) });
      await page.close();
    }
  });

  it("says nothing in the console", () => assert.deepEqual(problems, []));
});
