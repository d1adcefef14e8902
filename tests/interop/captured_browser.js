// What captures.py captures of a browser: Chromium loads the official client from the server that it
// talks to, and talks over each transport.
//   node captured_browser.js PORT
"use strict";

const { chromium } = require("playwright-core");

const url = `http://127.0.0.1:${process.argv[2]}`;

async function talk(transports) {
  const socket = window.io({ transports, forceNew: true, auth: { token: "secret" } });
  await new Promise((resolve) => socket.on("connect", resolve));
  const { engine } = socket.io;
  if (transports.length > 1 && engine.transport.name === "polling") {
    await new Promise((resolve) => engine.on("upgrade", resolve));
  }
  const back = new Promise((resolve) => socket.on("echo back", (...args) => resolve(args)));
  socket.emit("echo", "hello wörld", { list: [1, 2, 3] }, new Uint8Array([1, 2, 3]));
  const [text] = await back;
  const size = await socket.emitWithAck("size", "x".repeat(70000));
  await new Promise((resolve) => setTimeout(resolve, 350)); // a heartbeat
  socket.close();
  return [text, size];
}

(async () => {
  const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const page = await browser.newPage();
  await page.goto(`${url}/socket.io/socket.io.js`); // as text: a page of the server's own origin
  await page.addScriptTag({ url: "/socket.io/socket.io.js" });
  for (const transports of [["polling", "websocket"], ["websocket"], ["polling"]]) {
    const [text, size] = await page.evaluate(talk, transports);
    if (text !== "hello wörld" || size !== 70000) throw new Error(`got ${text}, ${size}`);
  }
  await page.waitForTimeout(200);
  await browser.close();
})();
