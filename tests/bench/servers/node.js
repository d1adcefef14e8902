// The official server, for node and bun: node.js PORT [deflate] [tls CERTIFICATE KEY]
const { readFileSync } = require("fs");
const { Server } = require("socket.io");

const [port, ...words] = process.argv.slice(2);
const answer = (request, response) => {
  const known = request.url === "/hello";
  response.writeHead(known ? 200 : 404, { "Content-Type": "text/plain", "Content-Length": known ? 5 : 0 });
  response.end(known ? "hello" : "");
};
const tls = words.indexOf("tls");
const http = tls < 0
  ? require("http").createServer(answer)
  : require("https").createServer({ cert: readFileSync(words[tls + 1]), key: readFileSync(words[tls + 2]) }, answer);
const options = { maxHttpBufferSize: 1e8 };
if (words.includes("deflate")) options.perMessageDeflate = { threshold: 0 };
const io = new Server(http, options);

for (const name of ["/", "/chat"]) {
  const space = io.of(name);
  space.on("connection", (socket) => {
    socket.on("echo", (data, done) => done(data));
    socket.on("echo3", (a, b, c, done) => done(a, b, c));
    socket.on("bin", (data, done) => done(data));
    socket.on("say", (data) => socket.emit("said", data));
    socket.on("note", () => {});
    socket.on("bcast", (data) => space.emit("news", data));
    socket.on("ask", (data) => {
      const next = () => socket.emit("asked", data, next);
      next();
    });
    socket.on("move", () => {
      if (socket.rooms.has("hall")) socket.leave("hall");
      else socket.join("hall");
    });
  });
}
http.listen({ port: +port, host: "127.0.0.1", backlog: 4096 });
