// Every feature of the server that a client can see, with each official client, on each way.
//
// The table that comes of it is printed in the end and written to the results: a feature in each
// row; in the columns socket.io-client 4.8, the same with socket.io-msgpack-parser, and 2.5 (Engine.IO
// 3), over polling, over WebSocket, and through the upgrade.  A cell that did not run is a failure.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { after, afterEach, before, describe, it } = require("node:test");
const { startServer } = require("./harness");
const { CLIENTS, Column, WAYS } = require("./features/columns");

const FEATURES = {
  ...require("./features/connections"),
  ...require("./features/events"),
  ...require("./features/rooms"),
};

/** What a client does not have, and why. */
const MISSING = {
  "a session that was cut off goes on where it was": {
    2.5: "came with 4.6",
  },
};

const cells = new Map();
const columns = Object.keys(CLIENTS).flatMap((client) => Object.keys(WAYS).map((w) => [client, w]));

for (const [client, way] of columns) {
  describe(`${client}, ${way}`, () => {
    const column = new Column(client, way);
    before(async () => {
      column.server = await startServer(column.mode);
    });
    afterEach(() => column.close());
    after(async () => {
      assert.equal(await column.server.stop(), 0, "the server ended with an error");
    });
    for (const [feature, test] of Object.entries(FEATURES)) {
      const cell = `${feature} | ${client}, ${way}`;
      if (MISSING[feature]?.[client]) {
        cells.set(cell, "n/a");
        continue;
      }
      it(`${client}, ${way}: ${feature}`, async () => {
        cells.set(cell, "FAILED");
        await test(column);
        cells.set(cell, "ok");
      });
    }
  });
}

function table() {
  const rows = Object.keys(FEATURES).map((feature) => {
    const row = columns.map(([c, w]) => cells.get(`${feature} | ${c}, ${w}`) ?? "not run");
    return `| ${feature} | ${row.join(" | ")} |`;
  });
  const head = columns.map(([client, way]) => `${client} ${way}`).join(" | ");
  const missing = Object.entries(MISSING).flatMap(([feature, by]) =>
    Object.entries(by).map(([client, why]) => `n/a: ${feature}, ${client}: ${why}`),
  );
  const line = `|---|${columns.map(() => "---|").join("")}`;
  return [`| feature | ${head} |`, line, ...rows, "", ...missing, ""].join("\n");
}

process.on("exit", () => {
  const text = table();
  console.log(`\n${text}`);
  const results = process.env.INTEROP_RESULTS;
  if (results) fs.writeFileSync(path.join(results, "features.md"), text);
  if (/not run|FAILED/.test(text)) process.exitCode = 1;
});
