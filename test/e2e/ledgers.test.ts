import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chatBody, cliJson, type RequestRow } from "../harness/gateway.ts";
import { queryAsSuperuser } from "../harness/database.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/**
 * Tests that request log, usage and budgets agree: under concurrency over two gateways, through kill -9 of the aggregator under
 * load, and after a restart of the node.
 */

let node: TestNode;
beforeAll(async () => {
  node = await startNode({ gateways: 2 });
});
afterAll(() => node.remove());

/** Request of 2 input and 2 output tokens of echo: 6 micro-USD. */
const COST = 6;
const BODY = JSON.stringify(chatBody("two words"));

interface Usage {
  readonly request_count: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly spend_micro_usd: number;
}

const usage = (key: string): Promise<Usage> => as(key, "usage");

async function as<T>(key: string, ...args: string[]): Promise<T> {
  const { stdout, stderr } = await node.cli(["cloud", ...args, "--json"], { environment: { ROUTEPLANE_API_KEY: key } });
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout) as T;
}

/** All rows of the namespace's request log, read by pages. */
async function rows(key: string): Promise<readonly RequestRow[]> {
  const all: RequestRow[] = [];
  let next: string | null = "";
  while (next !== null) {
    const token: string[] = next === "" ? [] : ["--page-token", next];
    const page: { data: RequestRow[]; next_page_token: string | null } = await as(
      key,
      "requests",
      "--limit",
      "100",
      ...token,
    );
    all.push(...page.data);
    next = page.next_page_token;
  }
  return all;
}

/** Status codes of concurrent calls, to the gateways in turn. */
async function burst(count: number, token: string): Promise<readonly number[]> {
  const send = async (index: number): Promise<number> => {
    const url = `http://127.0.0.1:${node.port + (index % 2)}/v1/chat/completions`;
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const response = await fetch(url, { method: "POST", headers, body: BODY });
    await response.body?.cancel();
    return response.status;
  };
  return Promise.all(Array.from({ length: count }, (_, index) => send(index)));
}

/** Creates a namespace with a root key and a budget on it. */
async function capped(name: string, limit: number) {
  await cliJson(node, "cloud", "namespace", "create", name);
  const mint = ["--name", "root", "--scope", "inference:* keys:* policy:* usage:* namespace:*", "--namespace", name];
  const root = await cliJson<{ id: string; token: string }>(node, "cloud", "keys", "mint", ...mint);
  await bind(root.token, "cap", limit, "api_key", root.id);
  return root;
}

async function bind(token: string, name: string, limit: number, type: string, id: string): Promise<void> {
  const budget = ["--name", name, "--window", "day", "--limit-micro-usd", `${limit}`];
  const policy = await as<{ id: string }>(token, "budget", "create", ...budget);
  await as(token, "policy", "bind", policy.id, "--principal-type", type, "--principal-id", id);
}

/** Time zone in which it is noon now, so that its day does not end meanwhile. */
function noonZone(): string {
  const offset = 12 - new Date().getUTCHours();
  return offset === 0 ? "Etc/GMT" : `Etc/GMT${offset > 0 ? "-" : "+"}${Math.abs(offset)}`;
}

describe("a budget", () => {
  it("is spent to its last micro-USD and not beyond, by 80 concurrent requests over two gateways", async () => {
    const root = await capped("exact", 30 * COST);
    const statuses = await burst(80, root.token);
    expect(statuses.filter((status) => status === 200)).toHaveLength(30);
    expect(statuses.filter((status) => status === 402)).toHaveLength(50);
    await eventually(async () => (await usage(root.token)).spend_micro_usd === 30 * COST);
  });

  it("of a calendar day is not overspent over two gateways, is named by the 402, and begins anew with the next day", async () => {
    const root = await capped("calendar", 10_000 * COST);
    const timeZone = noonZone();
    const window = ["--window", "calendar_day", "--time-zone", timeZone];
    const limit = ["--limit-micro-usd", `${20 * COST}`, "--bind-namespace"];
    const { id } = await as<{ id: string }>(root.token, "budget", "create", "--name", "books", ...window, ...limit);
    const statuses = await burst(40, root.token);
    expect(statuses.filter((status) => status === 200)).toHaveLength(20);
    expect(statuses.filter((status) => status === 402)).toHaveLength(20);
    const refused = await fetch(`http://127.0.0.1:${node.port}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${root.token}`, "content-type": "application/json" },
      body: BODY,
    });
    expect([refused.status, await refused.text()]).toEqual([
      402,
      expect.stringContaining(`calendar_day in ${timeZone}`),
    ]);
    const books = async () => {
      const { data } = await as<{ data: Record<string, unknown>[] }>(root.token, "limits");
      return data.find(({ policy_name }) => policy_name === "books");
    };
    await eventually(async () => (await books())?.["used"] === 20 * COST);
    expect(await books()).toMatchObject({ window: "calendar_day", time_zone: timeZone, window_secs: null, left: 0 });
    const bindings = "select id from policy.bindings where policy_id = $1";
    const yesterday = `update policy.counters set spend[2] = spend[2] - 86400000 where binding_id in (${bindings})`;
    await queryAsSuperuser(node.home, yesterday, [id]);
    await eventually(async () => (await burst(1, root.token))[0] === 200);
    // Its counter is no longer reconciled.
    await as(root.token, "budget", "delete", id, "--yes");
  });

  it("of a parent or the namespace applies to its sub-keys, which share it, and to newly minted ones", async () => {
    const root = await capped("lineage", 20 * COST);
    const { namespace } = await as<{ namespace: { id: string } }>(root.token, "whoami");
    await bind(root.token, "whole", 15 * COST, "namespace", namespace.id);
    const mint = (token: string, name: string) =>
      as<{ token: string }>(token, "keys", "mint", "--name", name, "--scope", "inference:invoke keys:*");
    const [left, right] = [await mint(root.token, "left"), await mint(root.token, "right")];
    const deep = await mint(left.token, "deep");
    const statuses = await Promise.all([burst(12, left.token), burst(12, right.token), burst(12, deep.token)]);
    expect(statuses.flat().filter((status) => status === 200)).toHaveLength(15);
    const fresh = await mint(deep.token, "fresh");
    expect(await burst(3, fresh.token)).toEqual([402, 402, 402]);
    await eventually(async () => (await usage(root.token)).spend_micro_usd === 15 * COST);
  });
});

describe("kill -9 of the aggregator under load", () => {
  it("neither loses nor duplicates a row: log, sums and the clients' answers agree", async () => {
    const root = await capped("killed", 10_000 * COST);
    const answered: number[] = [];
    const enough = new AbortController();
    const load = (async () => {
      while (!enough.signal.aborted) answered.push(...(await burst(10, root.token)));
    })();
    for (let kill = 0; kill < 3; kill++) await node.kill("aggregator");
    await eventually(() => answered.length >= 100, 30_000);
    enough.abort();
    await load;
    const count = answered.length;
    expect(new Set(answered)).toEqual(new Set([200]));
    const tokens = 2 * count;
    await eventually(async () => (await usage(root.token)).spend_micro_usd >= count * COST, 30_000);
    expect(await usage(root.token)).toMatchObject({
      request_count: count,
      prompt_tokens: tokens,
      completion_tokens: tokens,
      spend_micro_usd: count * COST,
    });
    const log = await rows(root.token);
    expect(new Set(log.map(({ id }) => id)).size).toBe(count);
    expect(log.every(({ status, cost_micro_usd }) => status === "succeeded" && cost_micro_usd === COST)).toBe(true);
    // Unacknowledged messages of a killed aggregator are redelivered after 10 s.
  }, 120_000);
});

describe("a restart of the node", () => {
  it("keeps keys, policies, request log, sums and the remaining budgets", async () => {
    const root = await capped("kept", 3 * COST);
    expect(await burst(2, root.token)).toEqual([200, 200]);
    await eventually(async () => (await usage(root.token)).spend_micro_usd === 2 * COST);
    const seen = async () => ({
      keys: (await as<{ data: { id: string }[] }>(root.token, "keys", "list")).data.map(({ id }) => id),
      policies: await as(root.token, "policy", "list"),
      requests: await rows(root.token),
      namespaces: await as(root.token, "namespace", "list"),
    });
    // Gateways return unused slices of budgets within some seconds.
    await eventually(async () => JSON.stringify(await seen()).includes('"reserved_micro_usd":0'), 30_000);
    const before = await seen();
    expect(before.requests).toHaveLength(2);
    const { home, port } = node;
    await node.stop();
    node = await startNode({ home, port, gateways: 2 });
    expect(await seen()).toEqual(before);
    expect((await burst(4, root.token)).filter((status) => status === 200)).toHaveLength(1);
  });
});

interface Reconciliation {
  readonly differences: readonly unknown[];
  readonly namespace_count: number;
  readonly budgets: {
    readonly charges: readonly unknown[];
    readonly counters: readonly unknown[];
    readonly request_count: number;
  };
}

describe("after all these faults", () => {
  it("the operator's reconciliation finds request log, sums and budgets of every namespace in agreement", async () => {
    const { budgets, ...usage } = await cliJson<Reconciliation>(node, "admin", "reconcile");
    expect(usage).toMatchObject({ differences: [], namespace_count: 5 });
    expect(budgets).toMatchObject({ charges: [], counters: [], running_count: 0, counter_count: 6 });
    const rows = 30 + 15 + 2 + 1;
    expect(budgets.request_count).toBeGreaterThan(rows);
  });
});
