// Clients in Chromium: browser.js PORT, and a line of JSON for each measurement comes in and goes out.
//
// In: {"page": "ours" or "official", "mode", "depth", "warm", "seconds"}.  Out is what talk.js finds,
// with the seconds of CPU that the page's thread took.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const { chromium } = require("playwright-core");

const url = `http://127.0.0.1:${process.argv[2]}`;
const script = fs.readFileSync(path.join(__dirname, "talk.js"), "utf8");

async function measure(browser, job) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const devtools = await context.newCDPSession(page);
    await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
    await page.exposeFunction("cpu", async () => {
      const { metrics } = await devtools.send("Performance.getMetrics");
      return metrics.find(({ name }) => name === "TaskDuration").value;
    });
    await page.goto(`${url}/${job.page}`);
    await page.addScriptTag({ content: script });
    const run = (wanted) => talk(io({ transports: ["websocket"] }), wanted, window.cpu);
    return await page.evaluate(run, job);
  } finally {
    await context.close();
  }
}

(async () => {
  const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  console.log(JSON.stringify({ version: browser.version() }));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const found = await measure(browser, JSON.parse(line)).catch((error) => ({ fail: String(error.message) }));
    console.log(JSON.stringify(found));
  }
  await browser.close();
})();
