// What the interop tests share: start a server, connect the official client, wait for things.
//
// SERVER_COMMAND is a JSON array, the command of the server under test: interop_server.py or
// official_server.js.  It is called with --mode MODE --port PORT and prints "PORT n" once it
// listens.  MODE is one of
//   client    the application that official_client.test.js talks to (README of this folder)
//   socketio  the application of the Socket.IO protocol suite, 1e6 bytes, CORS *
//   engineio  that of the Engine.IO protocol suite on /engine.io/: echoes every message
// SERVER_TIMES is a JSON object of milliseconds for the last two: pingInterval, pingTimeout,
// connectTimeout; they have the usual ones else.
//
// Nothing here measures speed: what one answer may take only ends a test that would hang.
"use strict";

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const readline = require("node:readline");

const command = JSON.parse(process.env.SERVER_COMMAND || "[]");
const START_MS = 60_000;
const ANSWER_MS = 60_000;

/** Resolve as `promise` does, or reject with `what` after `ms`. */
function within(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Start the server under test; resolves once it listens. */
async function startServer(mode, port = 0, times = {}) {
  if (!command.length) throw new Error("SERVER_COMMAND is not set: run tests/interop/run.py");
  const args = [...command.slice(1), "--mode", mode, "--port", String(port)];
  const env = { ...process.env, SERVER_TIMES: JSON.stringify(times) };
  const child = spawn(command[0], args, { stdio: ["ignore", "pipe", "inherit"], env });
  const exited = once(child, "exit");
  const lines = readline.createInterface({ input: child.stdout });
  const first = Promise.race([
    once(lines, "line").then(([line]) => line),
    exited.then(([code, signal]) => `it ended with ${code ?? signal}`),
  ]);
  const found = await within(first, START_MS, "the server did not print its port").catch((error) => {
    child.kill("SIGKILL");
    throw error;
  });
  const match = /^PORT (\d+)$/.exec(found);
  if (!match) throw new Error(`the server did not print its port: ${found}`);
  let asked = false;
  let unasked = "";
  exited.then(([code, signal]) => {
    if (asked) return;
    unasked = `the server ended with ${code ?? signal} before it was asked to`;
    console.error(unasked);
  });
  return {
    port: Number(match[1]),
    url: `http://127.0.0.1:${match[1]}`,
    /** Ask it to stop; resolves to its exit code, null if it had to be killed. */
    async stop() {
      if (unasked) throw new Error(unasked);
      asked = true;
      child.kill("SIGTERM");
      const patience = setTimeout(() => child.kill("SIGKILL"), ANSWER_MS);
      const [code] = await exited;
      clearTimeout(patience);
      return code;
    },
    /** Kill it, as a power cut would. */
    async kill() {
      asked = true;
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** Resolve to the arguments of the next `name` of an emitter, or reject after `ms`. */
function next(emitter, name, ms = ANSWER_MS) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      emitter.off(name, got);
      reject(new Error(`no ${name} within ${ms} ms`));
    }, ms);
    function got(...args) {
      clearTimeout(timer);
      resolve(args);
    }
    emitter.once(name, got);
  });
}

/** Resolve to every call of `name` until `count` have come. */
function collect(emitter, name, count, ms = ANSWER_MS) {
  return new Promise((resolve, reject) => {
    const found = [];
    const timer = setTimeout(
      () => reject(new Error(`${found.length} of ${count} ${name} within ${ms} ms`)),
      ms,
    );
    emitter.on(name, (...args) => {
      found.push(args);
      if (found.length === count) {
        clearTimeout(timer);
        resolve(found);
      }
    });
  });
}

module.exports = { ANSWER_MS, startServer, next, collect, within };
