import { Agent, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import { expect, it, onTestFinished } from "vitest";
import { type HttpUnderTest, startHttpUnderTest } from "./http-under-test.ts";

const NO_SIGNAL = new AbortController().signal;
/** Time that a client takes to learn that a gateway is not ready: until then it sends requests there. */
const NEWS_MS = 150;

async function started(): Promise<HttpUnderTest> {
  const http = await startHttpUnderTest();
  onTestFinished(() => http.stop());
  return http;
}

function keepingAlive(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  onTestFinished(() => agent.destroy());
  return agent;
}

/** Sends one request; rejects if it gets no whole answer. */
function get(http: HttpUnderTest, agent: Agent, path = "/ok") {
  return new Promise<{ status: number; connection: string | undefined; reused: boolean }>((resolve, reject) => {
    const method = path === "/wait" ? "POST" : "GET";
    const sent = request({ port: http.port, host: "127.0.0.1", path, method, agent }, (response) => {
      response.on("error", reject).resume();
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          connection: response.headers.connection,
          reused: sent.reusedSocket,
        }),
      );
    });
    sent.on("error", reject).end();
  });
}

it("fails no request of a client that keeps connections alive while one gateway after the other is rolled", async () => {
  const agent = keepingAlive();
  let gateways = [await started(), await started()];
  const failures: unknown[] = [];
  const load = new AbortController();
  let count = 0;
  const client = async (): Promise<void> => {
    while (!load.signal.aborted) {
      const gateway = gateways[count++ % gateways.length];
      if (gateway !== undefined) await get(gateway, agent).catch((error: unknown) => failures.push(error));
      await delay(Math.random() * 10);
    }
  };
  const clients = Array.from({ length: 12 }, client);
  for (let roll = 0; roll < 4; roll++) {
    await delay(200);
    const [old, ...others] = gateways;
    const replacement = await started();
    const drained = old?.drain({ timeoutMs: 20_000, signal: NO_SIGNAL });
    await delay(NEWS_MS);
    gateways = [...others, replacement];
    await drained;
    await old?.stop();
  }
  load.abort();
  await Promise.all(clients);
  expect(failures).toEqual([]);
  expect(count).toBeGreaterThan(200);
}, 60_000);

it("sends Connection: close in the next answer on a kept connection, and exits once no more requests come", async () => {
  const http = await started();
  const agent = keepingAlive();
  expect(await get(http, agent)).toMatchObject({ status: 200, connection: "keep-alive", reused: false });
  let isDrained = false;
  const drained = http.drain({ timeoutMs: 600_000, signal: NO_SIGNAL }).then(() => (isDrained = true));
  await delay(100);
  expect(isDrained).toBe(false);
  expect(await get(http, agent)).toMatchObject({ status: 200, connection: "close", reused: true });
  await drained;
});

it("serves requests on new connections for a moment, and refuses them after that", async () => {
  const http = await started();
  const drained = http.drain({ timeoutMs: 10_000, signal: NO_SIGNAL });
  expect(await get(http, new Agent())).toMatchObject({ status: 200, connection: "close" });
  await eventually(() =>
    get(http, new Agent()).then(
      () => false,
      ({ code }) => code === "ECONNREFUSED",
    ),
  );
  await drained;
});

it("exits soon if it has no connection", async () => {
  const http = await started();
  const startedAt = performance.now();
  await http.drain({ timeoutMs: 600_000, signal: NO_SIGNAL });
  expect(performance.now() - startedAt).toBeLessThan(4_000);
});

it("waits for a running answer beyond the time of kept connections, and no longer than its time-out or a second signal", async () => {
  const waiting = await started();
  const answer = get(waiting, keepingAlive(), "/wait");
  await eventually(() => waiting.waiting.length === 1);
  const startedAt = performance.now();
  const drained = waiting.drain({ timeoutMs: 20_000, signal: NO_SIGNAL });
  await eventually(
    () =>
      get(waiting, new Agent()).then(
        () => false,
        ({ code }) => code === "ECONNREFUSED",
      ),
    15_000,
  );
  // New connections are accepted for three times as long as kept ones may wait, which is a tenth of the time.
  expect(performance.now() - startedAt).toBeGreaterThan(5_900);
  waiting.waiting.shift()?.();
  expect(await answer).toMatchObject({ status: 200 });
  await drained;

  for (const [timeoutMs, signal] of [
    [300, NO_SIGNAL],
    [60_000, AbortSignal.timeout(300)],
  ] as const) {
    const http = await started();
    const refused = get(http, keepingAlive(), "/wait");
    await eventually(() => http.waiting.length === 1);
    await http.drain({ timeoutMs, signal });
    await http.stop();
    expect(http.ends).toEqual(["cancelled"]);
    expect((await refused).status).toBeGreaterThanOrEqual(500);
  }
}, 60_000);
