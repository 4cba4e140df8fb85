import { newId } from "@routeplane/domain";
import {
  type BrowserContextOptions,
  startBrowser,
  type TestBrowser,
} from "../../services/console/test/browser/browser.ts";
import { startConsoleNode, type StartedConsoleNode } from "../../services/console/test/browser/console-node.ts";
import { scriptBytes, signIn, view } from "../../services/console/test/browser/page-view.ts";
import { fillRequests } from "../harness/request-rows.ts";
import { memoryOf } from "./cost/node-figures.ts";
import { load, printTimes } from "./times.ts";

/**
 * Measures the console of a node with ROWS requests (100,000 by default) of KEYS keys (100) in 30 days, in a browser: script of the first load, calls of
 * services for the first view of each page, the time from a sign-in until the chart of 30 days shows, and the memory of the role. TIME_ZONE is the browser's.
 */

const ROWS = Number(process.env["ROWS"] ?? 100_000);
const KEYS = Number(process.env["KEYS"] ?? 100);
const RUNS = Number(process.env["RUNS"] ?? 10);
/** Time zone of the browser: days of UTC are read from sums of days, others from sums of hours. */
const { TIME_ZONE: timezoneId = "UTC" } = process.env;
const DAYS_MS = 30 * 24 * 60 * 60 * 1000;
const PATHS = ["/?range=30d", "/requests?range=30d", "/keys", "/policies", "/audit", "/quick-start"];

async function main(): Promise<void> {
  const [node, browser] = await Promise.all([startConsoleNode(), startBrowser()]);
  try {
    const { stdout } = await node.cli(["cloud", "whoami", "--json"]);
    const namespaceId = (JSON.parse(stdout) as { namespace: { id: string } }).namespace.id;
    await printMemory(node, "after the start");
    const toMs = Date.now();
    const keyIds = Array.from({ length: KEYS }, () => newId("key"));
    await fillRequests(node, { namespaceId, rows: ROWS, fromMs: toMs - DAYS_MS, toMs, keyIds });
    const session = await signIn(node, browser, await node.apiKey());
    await printFirstLoad(browser, `${node.consoleUrl}/`, session);
    for (const path of PATHS) {
      const { calls, context } = await view(browser, node.consoleUrl + path, session);
      process.stdout.write(`calls of services for ${path}: ${calls.length} (${calls.join(", ")})\n`);
      await context.close();
    }
    const runs: Awaited<ReturnType<typeof timeToChart>>[] = [];
    while (runs.length < RUNS) runs.push(await timeToChart(node, browser));
    process.stdout.write(
      `${ROWS} requests of ${KEYS} keys in 30 days, ${RUNS} sign-ins from ${timezoneId}, ${load()}\n`,
    );
    printTimes(
      "from the one-time URL until the chart shows",
      runs.map(({ fromUrlMs }) => fromUrlMs),
    );
    printTimes(
      "of that after the sign-in",
      runs.map(({ afterSignInMs }) => afterSignInMs),
    );
    await printMemory(node, "after the views");
  } finally {
    await browser.close();
    await node.remove();
  }
}

async function printFirstLoad(browser: TestBrowser, url: string, session: BrowserContextOptions): Promise<void> {
  const bytes = await scriptBytes(browser, url, session);
  process.stdout.write(`script until the overview shows: ${(bytes / 1_000).toFixed(1)} kB compressed with gzip\n`);
}

/** Signs in by a one-time URL that leads to the chart of 30 days, in a browser without a cache. */
async function timeToChart(
  node: StartedConsoleNode,
  browser: TestBrowser,
): Promise<{ fromUrlMs: number; afterSignInMs: number }> {
  const url = await node.signInUrl(undefined, "/?range=30d");
  const { page, context } = await browser.open({ timezoneId });
  let signedInAt = 0;
  context.on("response", (response) => {
    if (response.request().method() === "POST" && response.url().endsWith("/session")) signedInAt = performance.now();
  });
  const began = performance.now();
  await page.goto(url, { waitUntil: "commit" });
  await page.locator("[data-bucket]").first().waitFor();
  const shownAt = performance.now();
  await context.close();
  return { fromUrlMs: shownAt - began, afterSignInMs: shownAt - signedInAt };
}

async function printMemory(node: StartedConsoleNode, when: string): Promise<void> {
  const { residentMiB, proportionalMiB } = await memoryOf((await node.pid("console")) ?? 0);
  process.stdout.write(
    `memory of the role ${when}: ${residentMiB.toFixed(0)} MiB (proportional ${proportionalMiB.toFixed(0)})\n`,
  );
}

await main();
