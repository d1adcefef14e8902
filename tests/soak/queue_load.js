// Producers and consumers for queue_kill.py: the official client, until standard input ends.
//
//   node queue_load.js URL PRODUCERS CONSUMERS
//
// Each producer publishes numbered messages in turn to "plain" (which the consumers here process) and
// "exact" (which the server itself processes); what was acknowledged, and what was processed, is
// printed as one object of lists at the end.
"use strict";

const { io } = require("socket.io-client");

const [url, producers, consumers] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const options = { forceNew: true, transports: ["websocket"], reconnectionDelay: 10, reconnectionDelayMax: 50 };
const found = { published: { plain: [], exact: [] }, processed: [], refused: {}, sent: 0 };
let next = 0;
let over = false;

function produce() {
  const socket = io(url, options);
  let life = 0;
  const go = (mine) => {
    if (over || mine !== life) return;
    const queue = next % 2 ? "plain" : "exact";
    found.sent++;
    socket.emit("publish", queue, { number: next++ }, {}, (error, published) => {
      if (error) found.refused[error.code] = (found.refused[error.code] || 0) + 1;
      else found.published[queue].push(published.id);
      setImmediate(go, mine);
    });
  };
  // What was asked before a cut may never be answered: begin anew.
  socket.on("connect", () => go(++life));
}

function consume() {
  const socket = io(url, options);
  socket.on("connect", () => socket.emit("consume", "plain", { credit: 20 }));
  socket.on("message", (message, ack) => {
    found.processed.push(message.id);
    ack();
  });
}

for (let n = 0; n < producers; n++) produce();
for (let n = 0; n < consumers; n++) consume();
process.stdin.resume();
process.stdin.on("end", () => {
  over = true;
  // What is on its way may still be answered.
  setTimeout(() => {
    process.stdout.write(JSON.stringify(found), () => process.exit());
  }, 300);
});
