// An official client or emitter, directed by lines of JSON: what it sees is written as lines of JSON.
// node cluster_client.js URL            a client: {"emit": [...]}
// node cluster_client.js --emitter URL  an emitter of Redis: {"to": [rooms], "call": "emit", "args": [...]}
"use strict";

const readline = require("node:readline");

function say(...what) {
  console.log(JSON.stringify(what));
}

function listen(follow) {
  readline.createInterface({ input: process.stdin }).on("line", (line) => follow(JSON.parse(line)));
}

async function emitter(url) {
  const { Emitter } = require("@socket.io/redis-emitter");
  const { createClient } = require("redis");
  const redis = createClient({ url });
  await redis.connect();
  const io = new Emitter(redis);
  listen(({ to, call, args }) => {
    let operator = io;
    for (const room of to ?? []) operator = operator.to(room);
    operator[call](...args.map((arg) => (arg?.bytes ? Buffer.from(arg.bytes) : arg)));
  });
  say("ready");
}

function client(url) {
  const { io } = require("socket.io-client");
  const socket = io(url, { transports: ["websocket"], reconnectionDelay: 50, reconnectionDelayMax: 50 });
  socket.on("connect", () => say("connect", socket.id, socket.recovered));
  socket.on("disconnect", () => say("disconnect"));
  socket.onAny((...event) => say("event", ...event));
  listen(({ emit }) => socket.emit(...emit));
}

const [first, second] = process.argv.slice(2);
if (first === "--emitter") emitter(second);
else client(first);
