// The HAR of `rawsio trace`, read by playwright-core: a browser gets the recorded answers out of it,
// with no server behind them.  Beside that, what viewers show of WebSockets has its documented form.
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

describe("the HAR of the proxy", { timeout: 5 * ANSWER_MS }, () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "har-"));
  const recorded = {};
  let browser;

  /** Talk through the proxy; returns where it was, what it wrote, and a body that passed. */
  async function record(name, options) {
    const server = await startServer("client");
    const file = path.join(folder, `${name}.har`);
    const command = ["-m", "rawsio", "trace", "--to", server.url, "--no-page", "--har", file, ...options];
    const proxy = spawn(process.env.PYTHON || "python3", command, { stdio: ["ignore", "pipe", "inherit"] });
    const lines = readline.createInterface({ input: proxy.stdout });
    const [url] = await once(lines, "line");
    const client = [path.join(__dirname, "captured_client.js"), new URL(url).port];
    const [code] = await once(spawn("node", client, { stdio: "inherit" }), "exit");
    assert.equal(code, 0);
    const script = await (await fetch(`${url}/socket.io/socket.io.js`)).text();
    const open = `${url}/socket.io/?EIO=4&transport=polling&t=recorded`;
    const handshake = await (await fetch(open)).text();
    proxy.kill("SIGTERM");
    assert.equal((await once(proxy, "exit"))[0], 0);
    await server.stop();
    return { url, file, script, open, handshake, har: JSON.parse(fs.readFileSync(file, "utf-8")) };
  }

  before(async () => {
    recorded.replaced = await record("replaced", []);
    recorded.whole = await record("whole", ["--with-secrets"]);
    const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"], timeout: 3 * ANSWER_MS });
  });

  after(() => browser?.close());

  for (const name of ["replaced", "whole"]) {
    it(`is loaded by a reader, secrets ${name}, which answers from it`, async () => {
      const { url, file, script, open, handshake } = recorded[name];
      const page = await browser.newPage();
      page.setDefaultTimeout(ANSWER_MS);
      await page.routeFromHAR(file, { notFound: "abort" });
      await page.goto(`${url}/socket.io/socket.io.js`);
      const read = (address) => page.evaluate(async (from) => (await fetch(from)).text(), address);
      assert.ok((await read(`${url}/socket.io/socket.io.js`)) === script, "the script is another one");
      const again = JSON.parse((await read(open)).slice(1));
      const first = JSON.parse(handshake.slice(1));
      assert.equal(again.sid, name === "whole" ? first.sid : "*".repeat(first.sid.length));
      assert.equal(again.pingInterval, first.pingInterval);
      await assert.rejects(read(`${url}/never-asked`), /Failed to fetch/);
      await page.close();
    });
  }

  it("has the messages of WebSockets as viewers expect them", () => {
    const sockets = recorded.whole.har.log.entries.filter((entry) => entry._resourceType === "websocket");
    assert.equal(sockets.length, 2);
    for (const { request, response, _webSocketMessages: messages } of sockets) {
      assert.match(request.url, /^ws:\/\/127\.0\.0\.1:/);
      assert.equal(response.status, 101);
      for (const { type, time, opcode, data } of messages) {
        assert.ok(["send", "receive"].includes(type) && [1, 2].includes(opcode));
        assert.ok(Math.abs(time - Date.now() / 1000) < 3600, "seconds since 1970");
        if (opcode === 2) assert.equal(Buffer.from(data, "base64").toString("base64"), data);
      }
      const events = messages.filter(({ data }) => data.startsWith('451-["echo"'));
      assert.equal(events.length, 1);
    }
  });

  it("tells no secret unless it is asked to", () => {
    const text = fs.readFileSync(recorded.replaced.file, "utf-8");
    const sid = JSON.parse(recorded.replaced.handshake.slice(1)).sid;
    assert.ok(!text.includes(sid));
    assert.ok(!/40\{\\?"token\\?":\\?"secret/.test(text));
    assert.ok(fs.readFileSync(recorded.whole.file, "utf-8").includes('40{\\"token\\":\\"secret'));
    assert.equal(fs.statSync(recorded.replaced.file).mode & 0o077, 0);
  });
});
