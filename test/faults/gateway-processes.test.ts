import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { addressesOf } from "../harness/addresses.ts";
import { cliJson, mintKey } from "../harness/gateway.ts";
import { isAlive, killAll, startNode, type TestNode } from "../harness/index.ts";
import { COUNTED_PRICE, type CountingUpstream, startCountingUpstream } from "./counting-upstream.ts";
import { openLedger } from "./ledger.ts";
import { type SentOutcome, startLoad } from "./load.ts";

/** Tests of a gateway of two processes on one port. Each test builds on those before it. */

const ROUNDS = process.env["ROUTEPLANE_FAULTS"] === "full" ? 20 : 2;
const WORKERS = ["gateway.worker-1", "gateway.worker-2"];

let node: TestNode;
let upstream: CountingUpstream;
let folder: string;

const writeProviders = (...models: readonly string[]): Promise<void> =>
  writeFile(
    join(folder, "providers.yaml"),
    `providers: [{name: own, protocol: openai, base_url: "${upstream.baseUrl}", models: [${models
      .map((id) => `{id: ${id}, ${COUNTED_PRICE}}`)
      .join(", ")}]}]`,
  );
const start = (processes: number, home?: string): Promise<TestNode> =>
  startNode({
    ...(home === undefined ? {} : { home, port: node.port }),
    environment: {
      ROUTEPLANE_PROVIDERS: join(folder, "providers.yaml"),
      ROUTEPLANE_GATEWAY_PROCESSES: `${processes}`,
      // A drain waits a tenth of this time, at most 5 s, for clients that have not noticed it: a busy machine needs that long.
      ROUTEPLANE_DRAIN_TIMEOUT_SECS: "60",
    },
  });

beforeAll(async () => {
  upstream = await startCountingUpstream();
  folder = await mkdtemp(join(tmpdir(), "routeplane-processes-"));
  await writeProviders("counted");
  node = await start(2);
  await bothServe();
}, 120_000);
afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Makes a request on a connection of its own, so that the kernel chooses a process for each. */
async function requestAnew(path: string, token: string): Promise<{ readonly status: number; readonly body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  const headers = { authorization: `Bearer ${token}` };
  request(`${node.url}${path}`, { agent: false, headers }, (response) => {
    text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
  })
    .on("error", reject)
    .end();
  return promise;
}

/** Metrics of the gateway as one, by name and labels as they are printed. */
async function metrics(): Promise<ReadonlyMap<string, number>> {
  const lines = (await operations("/metrics")).body.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
}

async function operations(path: string): Promise<{ readonly status: number; readonly body: string }> {
  const { operations: ports } = await addressesOf(node);
  const response = await fetch(`http://${ports.gateway}${path}`);
  return { status: response.status, body: await response.text() };
}

/** Access log lines of the path, each with the number of its process. */
async function accessLog(path: string): Promise<readonly { readonly requestId: string; readonly process: number }[]> {
  const lines = (await node.log("gateway")).split("\n").filter((line) => line.includes(`"path":"${path}"`));
  return lines
    .map((line) => JSON.parse(line) as { msg: string; requestId: string; process: number })
    .filter(({ msg }) => msg === "request");
}

async function bothServe(): Promise<void> {
  await eventually(async () => (await metrics()).get("routeplane_processes") === 2, 60_000);
}

const MODELS_SERVED = 'routeplane_gateway_requests_total{route="/v1/models",status="200"}';

it("serves from all processes on one port, and counts and logs each request once", async () => {
  const token = await node.apiKey();
  for (let sent = 0; sent < 40; sent++) expect((await requestAnew("/v1/models", token)).status).toBe(200);
  await eventually(async () => (await accessLog("/v1/models")).length === 40);
  const lines = await accessLog("/v1/models");
  expect(new Set(lines.map(({ requestId }) => requestId)).size).toBe(40);
  expect(new Set(lines.map((line) => line.process))).toEqual(new Set([1, 2]));
  expect((await metrics()).get(MODELS_SERVED)).toBe(40);
  for (const path of ["/livez", "/readyz", "/healthz"])
    expect([path, (await operations(path)).status]).toEqual([path, 200]);
  expect((await operations("/readyz")).body).toContain('"ready_processes":2');
});

it("loads the providers again in all processes", async () => {
  const token = await node.apiKey();
  await writeProviders("counted", "second");
  process.kill(node.supervisorPid, "SIGHUP");
  const reloads = async () => (await node.log("gateway")).match(/"msg":"providers reloaded[^"]*"/g)?.length;
  await eventually(async () => (await reloads()) === 2);
  for (let sent = 0; sent < 20; sent++) {
    expect((await requestAnew("/v1/models", token)).body).toContain('"second"');
  }
});

it(
  "a killed process fails no request of the others, and neither loses nor duplicates one",
  async () => {
    const { load, ledger } = await startBudgetedLoad("killed process");
    for (let round = 0; round < ROUNDS; round++) {
      const [killed, other] = round % 2 === 0 ? WORKERS : WORKERS.toReversed();
      const before = load.sent.answered.size;
      await eventually(() => load.sent.answered.size > before + 40);
      const survivor = await node.pid(other ?? "");
      const supervisor = await node.pid("gateway");
      const served = (await metrics()).get(MODELS_SERVED) ?? 0;
      await node.kill(killed ?? "");
      // Counters never fall, although the process that counted is gone.
      expect((await metrics()).get(MODELS_SERVED)).toBeGreaterThanOrEqual(served);
      expect([await node.pid(other ?? ""), await node.pid("gateway")]).toEqual([survivor, supervisor]);
      await bothServe();
    }
    await load.stop();
    // At each kill at most the 12 running ones, and those sent to the dead process over the client's connections.
    expect(load.failed).toBeLessThanOrEqual(ROUNDS * 24);
    await expectAgreement(ledger, load);
    await ledger.close();
  },
  120_000 + ROUNDS * 60_000,
);

it("ends all processes at once when the supervisor is killed, and then starts completely again", async () => {
  const before = await Promise.all(WORKERS.map((worker) => node.pid(worker)));
  process.kill((await node.pid("gateway")) ?? 0, "SIGKILL");
  await eventually(() => before.every((pid) => !isAlive(pid ?? 0)));
  expect(await node.log("gateway")).not.toContain("supervisor gone");
  await node.healthy();
  await bothServe();
});

it("SIGTERM drains all processes without losing a request", async () => {
  const { load, ledger, failures } = await startBudgetedLoad("drain");
  await eventually(() => load.sent.answered.size > 40);
  const gateway = (await node.pid("gateway")) ?? 0;
  process.kill(gateway, "SIGTERM");
  await eventually(async () => (await operations("/readyz").catch(() => ({ status: 0 }))).status !== 200);
  await load.stop();
  expect(failures).toEqual([]);
  await eventually(() => !isAlive(gateway));
  await node.healthy();
  await bothServe();
  await expectAgreement(ledger, load);
  await ledger.close();
}, 120_000);

it("a start with fewer processes sends what the former ones left", async () => {
  const { load, ledger: former, keyId } = await startBudgetedLoad("fewer processes");
  await eventually(() => load.sent.answered.size > 40);
  await killAll(node.home);
  await Promise.all([load.stop(), former.close()]);
  expect(await readdir(join(node.home, "spool/gateway"))).toContain("process-2");
  node = await start(1, node.home);
  const ledger = await openLedger(node, keyId, true);
  await expectAgreement(ledger, load);
  await ledger.close();
  await node.stop();
  expect(await readdir(join(node.home, "spool/gateway"))).toEqual([]);
  node = await start(1, node.home);
  expect((await readdir(join(node.home, "run"))).filter((name) => name.includes("worker"))).toEqual([]);
}, 180_000);

async function startBudgetedLoad(name: string) {
  upstream.reset();
  await node.healthy();
  const key = await mintKey(node, name);
  const limit = ["--window", "total", "--limit-micro-usd", "1000000000"];
  const budget = await cliJson<{ id: string }>(node, "cloud", "budget", "create", "--name", name, ...limit);
  await cliJson(node, "cloud", "policy", "bind", budget.id, "--principal-type", "api_key", "--principal-id", key.id);
  const failures: SentOutcome[] = [];
  const onEnd = (outcome: SentOutcome): void => void (outcome.status === 200 || failures.push(outcome));
  const load = startLoad(node.urls, key.token, { onEnd });
  return { load, failures, ledger: await openLedger(node, key.id, true), keyId: key.id };
}

type Ledger = Awaited<ReturnType<typeof openLedger>>;

async function expectAgreement(ledger: Ledger, { sent }: ReturnType<typeof startLoad>): Promise<void> {
  const faults = await eventually(async () => {
    const current = await ledger.faults(upstream, sent);
    return current.length === 0 ? current : undefined;
  }, 60_000).catch(() => ledger.faults(upstream, sent));
  expect(faults).toEqual([]);
}
