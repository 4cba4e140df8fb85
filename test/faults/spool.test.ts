import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cliJson, mintKey, settledRow } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Size of the spool that fills up. */
const MEBIBYTE = 1024 ** 2;

let node: TestNode;
let token: string;

async function startWith(environment: Readonly<Record<string, string>>): Promise<void> {
  node = await startNode({ environment });
  token = await node.apiKey();
}

afterAll(() => node?.remove());

interface Outcome {
  readonly id: string | null;
  readonly status: number;
  readonly dependency: string | undefined;
}

async function ask(key = token): Promise<Outcome> {
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "echo", messages: [{ role: "user", content: "hi" }] }),
  });
  const body = (await response.json()) as { readonly error?: { readonly dependency?: string } };
  const id = response.headers.get("x-request-id");
  return { id, status: response.status, dependency: body.error?.dependency };
}

async function budgetedKey(): Promise<string> {
  const { id, token } = await mintKey(node, "budgeted");
  const limit = ["--window", "total", "--limit-micro-usd", "1000"];
  const budget = await cliJson<{ id: string }>(node, "cloud", "budget", "create", "--name", "wide", ...limit);
  await cliJson(node, "cloud", "policy", "bind", budget.id, "--principal-type", "api_key", "--principal-id", id);
  return token;
}

/** Reconciliation of the budgets by `routeplane admin reconcile`, which fails if anything differs. */
async function reconcile() {
  const { budgets } = await cliJson<{ budgets: { request_count: number; charges: unknown; counters: unknown } }>(
    node,
    "admin",
    "reconcile",
  );
  return budgets;
}

const requestCount = async (): Promise<number> =>
  (await cliJson<{ readonly request_count: number }>(node, "cloud", "usage")).request_count;

describe("a full spool while NATS is disconnected", () => {
  beforeAll(() => startWith({ ROUTEPLANE_SPOOL_MAX_BYTES: `${MEBIBYTE}` }), 120_000);

  it("makes the gateway refuse requests with a 503 that names the spool; the others are settled, and none is lost", async () => {
    const answers: Outcome[] = [];
    await node.whileSuspended("nats", async () => {
      while (!answers.some(({ status }) => status === 503)) {
        answers.push(...(await Promise.all(Array.from({ length: 40 }, ask))));
      }
      expect(answers.filter(({ status }) => status !== 200).map(({ dependency }) => dependency)).not.toContain(
        undefined,
      );
      expect(answers.find(({ status }) => status === 503)).toMatchObject({ dependency: "spool" });
      const health = await fetch(`${node.url}/healthz`);
      expect([health.status, await health.json()]).toMatchObject([503, { dependencies: { spool: "unreachable" } }]);
    });
    const served = answers.filter(({ status }) => status === 200).length;
    expect(served).toBeGreaterThan(300);
    await eventually(async () => (await requestCount()) === served);
    await node.healthy();
    expect(await ask()).toMatchObject({ status: 200 });
    await eventually(async () => (await requestCount()) === served + 1);
  }, 120_000);

  it("is emptied by a stop, and the next start continues", async () => {
    const before = await requestCount();
    const { home, port } = node;
    expect((await ask()).status).toBe(200);
    await node.stop();
    expect(await readdir(join(home, "spool/gateway"))).toEqual([]);
    node = await startNode({ home, port, environment: { ROUTEPLANE_WHEN_NATS_IS_AWAY: "refuse" } });
    await eventually(async () => (await requestCount()) === before + 1);
  }, 120_000);
});

describe("a gateway with ROUTEPLANE_WHEN_NATS_IS_AWAY=refuse", () => {
  it("refuses within 3 s with a 503 that names NATS, reports it in its health, and recovers by itself", async () => {
    const before = await requestCount();
    const budgeted = await budgetedKey();
    let refused: string | null = null;
    await node.whileSuspended("nats", async () => {
      const since = performance.now();
      const answer = await ask(budgeted);
      refused = answer.id;
      expect(answer).toMatchObject({ status: 503, dependency: "nats" });
      expect(performance.now() - since).toBeLessThan(4_500);
      const health = await fetch(`${node.url}/healthz`);
      expect([health.status, await health.json()]).toMatchObject([503, { dependencies: { nats: "unreachable" } }]);
    });
    await eventually(async () => (await ask()).status === 200);
    await eventually(async () => (await requestCount()) > before);
    // The upstream had been called, so its reservation is charged, in the log and on the budget.
    const row = await settledRow(node, refused);
    expect(row).toMatchObject({ status: "failed", estimated: true, cost_micro_usd: row.reserved_micro_usd });
    expect(row.cost_micro_usd).toBeGreaterThan(0);
    const reconciled = await eventually(async () => {
      const budgets = await reconcile();
      return budgets.request_count > 0 && budgets;
    }, 20_000);
    expect(reconciled).toMatchObject({ charges: [], counters: [] });
  });
});
