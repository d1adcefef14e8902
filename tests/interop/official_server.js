// The reference for interop_server.py: the same application on the official server.
//   node official_server.js --mode client|socketio|engineio --port PORT
// SERVER_TIMES is a JSON object of milliseconds, for the modes of the protocol suites (harness.js).
"use strict";

const http = require("node:http");
const { Server } = require("socket.io");
const engine = require("engine.io");

const argument = (name) => process.argv[process.argv.indexOf(name) + 1];
const mode = argument("--mode");
const port = Number(argument("--port"));
const server = http.createServer((request, response) => {
  response.writeHead(404).end();
});

const times = JSON.parse(process.env.SERVER_TIMES || "{}");
const suite = { ...times, maxHttpBufferSize: 1e6, cors: { origin: "*" } };

function engineio() {
  engine.attach(server, { ...suite, path: "/engine.io/" }).on("connection", (socket) => {
    socket.on("message", (data) => socket.send(data));
  });
}

function socketio() {
  const io = new Server(server, suite);
  io.on("connection", (socket) => {
    socket.emit("auth", socket.handshake.auth);
    socket.on("message", (...args) => socket.emit("message-back", ...args));
    socket.on("message-with-ack", (...args) => args.pop()(...args));
  });
  io.of("/custom").on("connection", (socket) => socket.emit("auth", socket.handshake.auth));
}

function application(io, namespace) {
  const done = (args) => typeof args.at(-1) === "function" && args.at(-1)();
  namespace.on("connection", (socket) => {
    socket.emit("auth", socket.handshake.auth);
    socket.on("echo", (...args) => socket.emit("echo back", ...args));
    socket.on("ack", (...args) => args.pop()(...args));
    socket.on("size", (data, ack) => ack(data.length));
    socket.on("never", () => {});
    socket.on("ask", async (...args) => {
      socket.emit("answered", await socket.emitWithAck("question", ...args));
    });
    socket.on("join", (room, ack) => (socket.join(room), ack()));
    socket.on("leave", (room, ack) => (socket.leave(room), ack()));
    socket.on("rooms", (ack) => ack([...socket.rooms].sort()));
    socket.on("to room", (room, ...args) => (socket.to(room).emit(...news(args)), done(args)));
    socket.on("in room", (room, ...args) => (namespace.in(room).emit(...news(args)), done(args)));
    socket.on("except", (room, ...args) => (namespace.except(room).emit(...news(args)), done(args)));
    socket.on("broadcast", (...args) => (socket.broadcast.emit(...news(args)), done(args)));
    socket.on("everyone", (...args) => (namespace.emit(...news(args)), done(args)));
    socket.on("burst", (count) => {
      for (let number = 0; number < count; number++) socket.emit("burst", number);
    });
    socket.on("leave me", (close) => socket.disconnect(close));
    socket.on("disconnect", (reason) => namespace.emit("gone", socket.id, reason));
  });
}

const news = (args) => ["news", ...args.filter((value) => typeof value !== "function")];

function client() {
  const io = new Server(server, { maxHttpBufferSize: 4e6, cors: { origin: "*" } });
  application(io, io);
  application(io, io.of("/custom"));
  const admin = io.of("/admin");
  admin.use((socket, next) => {
    if (socket.handshake.auth.token === "secret") return next();
    const error = new Error("not authorized");
    error.data = { retry: false };
    next(error);
  });
  application(io, admin);
}

({ client, socketio, engineio })[mode]();
server.listen(port, "127.0.0.1", () => console.log(`PORT ${server.address().port}`));
process.on("SIGTERM", () => process.exit(0));
