// An official server of a cluster, directed by clients of the namespace /control.
// node cluster_server.js --redis URL [--adapter classic|sharded|streams] [--library redis|ioredis] [--resp 2|3] [--recovery]
"use strict";

const { createServer } = require("node:http");
const { parseArgs } = require("node:util");
const { Server } = require("socket.io");

const { values: options } = parseArgs({
  options: {
    redis: { type: "string" },
    adapter: { type: "string", default: "classic" },
    library: { type: "string", default: "redis" },
    resp: { type: "string", default: "3" },
    recovery: { type: "boolean", default: false },
  },
});

async function redisClient() {
  if (options.redis.includes(",")) {
    // A Redis Cluster, by the addresses of its servers.
    const { createCluster } = require("redis");
    const rootNodes = options.redis.split(",").map((url) => ({ url }));
    const cluster = createCluster({ rootNodes });
    cluster.on("error", () => {});
    await cluster.connect();
    return cluster;
  }
  if (options.library === "ioredis") {
    const { Redis } = require("ioredis");
    return new Redis(options.redis);
  }
  const { createClient } = require("redis");
  const client = createClient({ url: options.redis, RESP: Number(options.resp) });
  client.on("error", () => {});
  await client.connect();
  return client;
}

async function adapter() {
  const says = await redisClient();
  if (options.adapter === "streams") {
    return require("@socket.io/redis-streams-adapter").createAdapter(says);
  }
  const hears = await redisClient();
  const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
  return options.adapter === "sharded"
    ? createShardedAdapter(says, hears)
    : createAdapter(says, hears);
}

function addressed(io, { rooms = [], except = [], flags = {} }) {
  let operator = io;
  for (const room of rooms) operator = operator.to(room);
  for (const room of except) operator = operator.except(room);
  if (flags.volatile) operator = operator.volatile;
  if (flags.compress === false) operator = operator.compress(false);
  if (flags.local) operator = operator.local;
  if (flags.timeout) operator = operator.timeout(flags.timeout);
  return operator;
}

const operations = {
  emit: (io, { args, ...to }) => void addressed(io, to).emit(...args),
  burst: (io, { args, count }) => {
    for (let n = 0; n < count; n++) io.emit(...args);
  },
  ask: (io, { args, ...to }) => addressed(io, to).emitWithAck(...args),
  join: (io, { into, ...to }) => void addressed(io, to).socketsJoin(into),
  leave: (io, { into, ...to }) => void addressed(io, to).socketsLeave(into),
  disconnect: (io, { close, ...to }) => void addressed(io, to).disconnectSockets(close),
  fetch: async (io, to) =>
    (await addressed(io, to).fetchSockets()).map((socket) => ({
      id: socket.id,
      rooms: [...socket.rooms].sort(),
      data: socket.data,
      query: socket.handshake.query,
      address: socket.handshake.address,
    })),
  serverEmit: (io, { args }) => void io.serverSideEmit(...args),
  serverAsk: (io, { args }) => io.serverSideEmitWithAck(...args),
  rooms: async (io) => [...(await io.of("/").adapter.allRooms())].sort(),
  count: (io) => io.of("/").adapter.serverCount(),
};

async function main() {
  const server = createServer();
  const recovery = options.recovery ? { connectionStateRecovery: {} } : {};
  const io = new Server(server, { adapter: await adapter(), ...recovery });
  const heard = [];
  io.on("connection", (socket) => {
    socket.data = { name: socket.handshake.query.name };
    socket.on("join", (room, done) => {
      socket.join(room);
      done?.();
    });
    socket.on("tellOthers", (...args) => socket.broadcast.emit(...args));
  });
  io.on("told", (...args) => heard.push(args.filter((value) => typeof value !== "function")));
  io.on("asked", (value, done) => done(`node:${value}`));
  operations.heard = () => heard.splice(0);
  io.of("/control").on("connection", (socket) => {
    socket.on("do", async (operation, details, done) => {
      try {
        const value = (await operations[operation](io, details)) ?? null;
        done?.({ value });
      } catch (error) {
        done?.({ error: String(error.message), responses: error.responses ?? null });
      }
    });
  });
  server.listen(0, "127.0.0.1", () => console.log(`PORT ${server.address().port}`));
}

main();
