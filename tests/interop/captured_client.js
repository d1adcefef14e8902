// What captures.py captures: the official client, over each transport, with events, acknowledgements,
// binary attachments, a long message, a namespace, a heartbeat.
//   node captured_client.js PORT
"use strict";

const assert = require("node:assert/strict");
const { io } = require("socket.io-client");

const url = `http://127.0.0.1:${process.argv[2]}`;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function talk(transports) {
  const auth = { token: "secret" };
  const socket = io(url, { transports, forceNew: true, auth, perMessageDeflate: { threshold: 10 } });
  await new Promise((resolve) => socket.on("connect", resolve));
  const engine = socket.io.engine;
  if (transports.length > 1 && engine.transport.name === "polling") {
    await new Promise((resolve) => engine.on("upgrade", resolve));
  }
  const back = new Promise((resolve) => socket.on("echo back", (...args) => resolve(args)));
  socket.emit("echo", "hello wörld", { list: [1, 2, 3] }, Buffer.from([1, 2, 3]));
  assert.equal((await back)[0], "hello wörld");
  assert.equal(await socket.emitWithAck("size", "x".repeat(70000)), 70000);
  await sleep(350); // a heartbeat
  socket.close();
}

(async () => {
  await talk(["polling", "websocket"]);
  await talk(["websocket"]);
  await talk(["polling"]);
  await sleep(200);
  process.exit(0);
})();
