// The queue's page of the demo in a browser: a spike is smoothed, failures become dead letters.
//
// It starts `$PYTHON -m rawsio serve` and drives the Chromium at CHROMIUM, else /usr/bin/chromium.
// Screenshots go into INTEROP_RESULTS, else a temporary folder.
"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");
const { after, before, describe, it } = require("node:test");
const { io } = require("socket.io-client");
const { chromium } = require("playwright-core");

const RESULTS = process.env.INTEROP_RESULTS || fs.mkdtempSync(path.join(os.tmpdir(), "demo-"));

describe("the queue of the demo in Chromium", { timeout: 170_000 }, () => {
  let server;
  let browser;
  let url;
  let page;
  const complaints = [];

  async function open(options) {
    const context = await browser.newContext({ reducedMotion: "reduce", ...options });
    const made = await context.newPage();
    made.setDefaultTimeout(60_000);
    made.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    made.on("pageerror", (error) => complaints.push(String(error)));
    await made.goto(`${url}/queue`);
    await made.waitForSelector("body[data-state=on]");
    await made.waitForSelector("#consumers li");
    return made;
  }

  const count = async (state) => Number((await page.textContent(`#states [data-state=${state}] b`)).replace(/,/g, ""));
  const screenshot = (shown, name) => shown.screenshot({ path: path.join(RESULTS, `queue-${name}.png`) });

  before(async () => {
    const args = ["-m", "rawsio", "serve", "--port", "0"];
    server = spawn(process.env.PYTHON || "python3", args, { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(readline.createInterface({ input: server.stdout }), "line");
    url = /http:\S+/.exec(line)[0];
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
    });
    page = await open({ viewport: { width: 1360, height: 860 }, colorScheme: "light" });
  });

  after(async () => {
    if (browser) await browser.close();
    if (!server) return;
    server.kill("SIGTERM");
    assert.equal((await once(server, "exit"))[0], 0, "the server ended with an error");
  });

  it("works on a message, which is gone then", async () => {
    await page.click("[data-kind=one]");
    await page.waitForSelector("#answer:has-text('1 published')");
    await page.waitForFunction(() => document.querySelector("[data-state=ready] b").textContent === "0");
  });

  it("shows a failure as a dead letter, and its three deliveries", async () => {
    await page.click("[data-kind=fails]");
    await page.click("#tabs button:has-text('dead letters')");
    await page.click("#messages button:has-text('3 deliveries'):has-text('it cannot be done')");
    await page.waitForSelector("#detail li:has-text('delivery 3'):has-text('given back')");
    assert.match(await page.textContent("#detail dl"), /statedead.*body\{"do":"fail"\}.*last errorit cannot be done/);
    assert.equal(await page.locator("#detail li").count(), 3);
    await page.click("#redrive");
    await page.waitForSelector("#answer:has-text('1 redriven')");
  });

  it("smooths a spike of 10,000", async () => {
    await page.click("[data-kind=spike]");
    await page.waitForSelector("#answer:has-text('10,000 published')");
    await page.waitForSelector("#depth .spike", { state: "attached" }); // a line has no width
    // A sample that is taken while parts of the spike are still published shows less than all of it.
    await page.waitForFunction(() => Number(document.querySelector("#states b").textContent.replace(/,/g, "")) > 5000);
    const first = await count("ready");
    await page.waitForFunction((n) => Number(document.querySelector("#states b").textContent.replace(/,/g, "")) < n, first);
    assert.ok(first > 5000, `${first} are left at once`);
    const speed = await page.textContent("#speed");
    assert.ok(Number(/^[\d,]+/.exec(speed)[0].replace(/,/g, "")) <= 400, `${speed}, of 200 a second`);
    await screenshot(page, "wide");
  });

  it("shows the consumers of others with their credit", async () => {
    const other = io(`${url}/work`, { forceNew: true, transports: ["websocket"] });
    await once(other, "connect");
    other.on("message", () => undefined); // it never acknowledges
    await other.timeout(60_000).emitWithAck("consume", "demo", { credit: 7 });
    const row = page.locator(`#consumers li:has-text('${other.id.slice(0, 8)}')`);
    await page.waitForSelector(`#consumers li:has-text('${other.id.slice(0, 8)}'):has-text('7 of 7')`);
    assert.equal(await row.locator("button").count(), 0, "it is not the page's");
    other.disconnect();
    await row.waitFor({ state: "detached" });
  });

  it("adds and removes consumers of its own", async () => {
    await page.selectOption("#credit", "5");
    await page.click("#add");
    await page.waitForSelector("#consumers li:has-text('of 5')");
    await page.click("#consumers li:has-text('of 5') button");
    await page.mouse.move(0, 0);
    await page.evaluate(() => document.activeElement.blur());
    await page.locator("#consumers li:has-text('of 5')").waitFor({ state: "detached" });
  });

  it("fits a phone, and the dark", async () => {
    const phone = await open({ viewport: { width: 390, height: 844 }, colorScheme: "dark", hasTouch: true });
    const { width, wide } = await phone.evaluate(() => ({
      width: document.documentElement.clientWidth,
      wide: Math.max(...Array.from(document.querySelectorAll("body *"), (node) => node.getBoundingClientRect().right)),
    }));
    assert.ok(wide <= width + 1, `${wide} of ${width}`);
    const sections = await phone.locator("main > section").evaluateAll((all) =>
      all.map((node) => [node.getBoundingClientRect().top, node.scrollHeight, node.clientHeight]),
    );
    for (const [top, content, height] of sections) assert.ok(content <= height + 1, `cut at ${top}`);
    await screenshot(phone, "phone-dark");
    await phone.context().close();
  });

  it("purges", async () => {
    await page.click("#purge");
    await page.waitForSelector("#answer:has-text('purged')");
    await page.waitForFunction(() => document.querySelector("#states b").textContent === "0");
  });

  it("was served without a complaint", () => {
    assert.deepEqual(complaints, []);
  });
});
