// What a client in JavaScript does, in Node and in a page; both clients have the same interface.
//
// `mode` is "echo" (an event with acknowledgement, `depth` of them in flight) or "stream" (a
// broadcast that comes; the client asks for a hundred at a time, with two such in work).  Resolves
// to how many came in `seconds`, and how much `cpu()` grew meanwhile.
async function talk(socket, { mode, depth, warm, seconds }, cpu) {
  const TEXT = "abcdefghijklmnopqrstuvwxyzabcdef";
  let count = 0;
  let errors = 0;
  const pause = (s) => new Promise((resolve) => setTimeout(resolve, 1000 * s));
  const took = (value) => {
    if (value !== TEXT) errors += 1;
    count += 1;
  };
  const ask = () => socket.emit("echo", TEXT, answered);
  const answered = (value) => {
    took(value);
    ask();
  };
  if (!socket.connected) await new Promise((resolve) => socket.on("connect", resolve));
  socket.on("news", (value) => {
    took(value);
    if (count % 100 === 0) socket.emit("flow", 100, TEXT);
  });
  if (mode === "stream") for (let i = 0; i < 2; i++) socket.emit("flow", 100, TEXT);
  else for (let i = 0; i < depth; i++) ask();
  await pause(warm);
  const from = { count, cpu: await cpu(), time: performance.now() };
  await pause(seconds);
  const to = { count, cpu: await cpu(), time: performance.now() };
  socket.disconnect();
  return {
    count: to.count - from.count, cpu: to.cpu - from.cpu, seconds: (to.time - from.time) / 1000, errors,
  };
}

if (typeof module !== "undefined") module.exports = talk;
