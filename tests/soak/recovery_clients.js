// Clients for recovery.py: the official client, until standard input ends; ours for browsers, if
// NAME is `browser`.
//
//   node recovery_clients.js URL NAME CLIENTS ROOMS
//
// Each client enters a room, says something there again and again, and counts in its `data` at the
// server.  What it saw, how often it came back, and what was wrong then is printed at the end.
"use strict";

const path = require("node:path");

const [url, name, clients, rooms] = [process.argv[2], process.argv[3], ...process.argv.slice(4).map(Number)];
if (name === "browser") globalThis.WebSocket = require("ws");
const { io } =
  name === "browser"
    ? require(path.join(__dirname, "../../rawsio/browser/socket.io.js"))
    : require("socket.io-client");
const found = [];
const sockets = [];
let over = false;

function begin(number) {
  const room = `room ${number % rooms}`;
  const one = { name: `${name} ${number}`, room, seen: [], said: [], back: 0, wrong: [] };
  found.push(one);
  const socket = io(url, {
    forceNew: true,
    transports: number % 3 ? ["websocket"] : ["polling", "websocket"],
    reconnectionDelay: 50,
    reconnectionDelayMax: 300,
  });
  sockets.push(socket);
  let entered = false;
  let next = 0;
  let count = 0;
  socket.on("said", (...args) => one.seen.push(args[0]));
  socket.on("connect", () => {
    if (!entered) {
      socket.emit("enter", one.name, room, () => {
        entered = true;
        console.error("entered");
      });
      return;
    }
    one.back++;
    if (!socket.recovered) one.wrong.push("not recovered");
    socket.emit("who", (who, mine, counted) => {
      if (who !== one.name) one.wrong.push(`data of ${who}`);
      if (mine.length !== 1 || mine[0] !== room) one.wrong.push(`rooms ${mine}`);
      if (counted < count) one.wrong.push(`counted ${counted}, and ${count} was acknowledged`);
    });
  });
  const timer = setInterval(() => {
    if (over) clearInterval(timer);
    else if (entered && socket.connected) {
      const what = `${one.name}: ${next++}`;
      socket.emit("say", what, (counted) => {
        one.said.push(what);
        count = counted;
      });
    }
  }, 700 + Math.random() * 600);
}

for (let n = 0; n < clients; n++) begin(n);
process.stdin.resume();
process.stdin.on("end", () => {
  over = true;
  const report = () => process.stdout.write(JSON.stringify(found), () => process.exit());
  const until = Date.now() + 30_000;
  const wait = setInterval(() => {
    if (!sockets.every((socket) => socket.connected) && Date.now() < until) return;
    clearInterval(wait);
    setTimeout(report, 1500); // what is on its way may still come
  }, 100);
});
