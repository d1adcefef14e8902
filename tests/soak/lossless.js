// The official clients of lossless.py: they send until standard input ends, then print what they saw.
//
//   node lossless.js URL NAMES ALL_NAMES
"use strict";

const { io } = require("socket.io-client");

const url = process.argv[2];
const [names, everybody] = [JSON.parse(process.argv[3]), JSON.parse(process.argv[4])];
const ways = [["polling"], ["websocket"], ["polling", "websocket"]];
const fillings = ["", "x".repeat(300), Buffer.from([0, 255]), { é: [1, null] }];
const any = (list) => list[Math.floor(Math.random() * list.length)];
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let over = false;

// Resolves with "acked", "unknown" (the connection ended) or "silent".
function ask(socket, ...args) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve("silent"), 20000);
    const end = (how) => {
      clearTimeout(timer);
      socket.off("disconnect", lost);
      resolve(how);
    };
    const lost = () => end("unknown");
    socket.on("disconnect", lost);
    socket.emit(...args, () => end("acked"));
  });
}

async function live(who, n) {
  const record = { who, acked: [], unknown: [], heard: [], errors: [] };
  const socket = io(url, {
    forceNew: true,
    transports: ways[n % 3],
    auth: { who },
    reconnectionDelay: 20,
    reconnectionDelayMax: 300,
    timeout: 5000,
  });
  let fresh = true;
  socket.on("connect", () => {
    fresh = fresh || !socket.recovered;
  });
  socket.on("told", (number) => {
    record.heard.push([number, fresh]);
    fresh = false;
  });
  for (let number = 1; !over; number++) {
    if (!socket.connected) await new Promise((resolve) => socket.once("connect", resolve));
    const how = await ask(socket, "add", who, number, any(fillings));
    if (how === "silent") record.errors.push(`add ${number}: neither answered nor failed`);
    else record[how].push(number);
    if (socket.connected) await ask(socket, "tell", any(everybody), any(fillings));
    await wait(4);
  }
  await wait(8000);
  socket.disconnect();
  return record;
}

Promise.all(names.map(live)).then((records) => {
  process.stdout.write(JSON.stringify(records), () => process.exit());
});
process.stdin.resume();
process.stdin.on("end", () => {
  over = true;
});
