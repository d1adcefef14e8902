// The official client in Node: official.js FORM PORT MODE DEPTH WARM SECONDS
"use strict";

const { io } = require("socket.io-client");
const talk = require("./talk");

const [, port, mode, depth, warm, seconds] = process.argv.slice(2);
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const socket = io(`http://127.0.0.1:${port}`, { transports: ["websocket"] });
talk(socket, { mode, depth: +depth, warm: +warm, seconds: +seconds }, cpu).then((found) => {
  console.log(JSON.stringify(found));
  process.exit(0);
});
