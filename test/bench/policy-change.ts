import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import pg from "pg";
import { Pool } from "undici";
import { superuserUrl } from "../harness/database.ts";
import { startNode, type TestNode } from "../harness/node.ts";
import { printTimes } from "./times.ts";

/**
 * Measures the time until a policy change is in force at the slowest of three gateways that have just admitted the requests: with
 * the change feed, and with the feed disconnected. A guardrail that denies a model is enabled and disabled while all of them are called.
 */

const CHANGES = Number(process.env["CHANGES"] ?? 500);
const CUTS = Number(process.env["CUTS"] ?? 5);
const FEED = "application_name = 'routeplane-policy-changes'";

type Manage = <T>(method: string, body: object) => Promise<T>;

interface Bench {
  readonly manage: Manage;
  readonly gateways: readonly Pool[];
  readonly token: string;
  readonly policyId: string;
}

async function main(): Promise<void> {
  const node = await startNode({ gateways: 3 });
  const gateways = node.urls.map((url) => new Pool(url));
  const admin = new pg.Client({ connectionString: await superuserUrl(node.home) });
  await admin.connect();
  try {
    const bench = await prepare(node, gateways);
    const on: number[] = [];
    const off: number[] = [];
    for (let count = 0; count < CHANGES; count++) {
      on.push(await changeAndWatch(bench, "EnablePolicy", 403));
      off.push(await changeAndWatch(bench, "DisablePolicy", 200));
    }
    printTimes(`refused by the last of 3 gateways, after EnablePolicy answered (${CHANGES})`, on);
    printTimes(`let through by the last of them, after DisablePolicy answered (${CHANGES})`, off);
    const disconnected: number[] = [];
    for (let count = 0; count < CUTS; count++) disconnected.push(await whileFeedIsDisconnected(admin, bench));
    printTimes(`refused with the feed disconnected, after EnablePolicy answered (${CUTS})`, disconnected);
  } finally {
    await admin.end();
    await Promise.all(gateways.map((gateway) => gateway.close()));
    await node.remove();
  }
}

/** Creates a guardrail, bound to the node's root key and disabled. */
async function prepare(node: TestNode, gateways: readonly Pool[]): Promise<Bench> {
  const token = await node.apiKey();
  const manage = managing(gateways[0] ?? new Pool(node.url), token);
  const { key } = await manage<{ key: { keyId: string } }>("auth.v1.IdentityService/WhoAmI", {});
  const spec = { guardrail: { modelDeny: { models: ["echo"] } } };
  const { policy } = await manage<{ policy: { id: string } }>("policy.v1.PolicyService/CreatePolicy", {
    name: "bench",
    spec,
  });
  await manage("policy.v1.PolicyService/DisablePolicy", { id: policy.id });
  const principal = { principalType: "PRINCIPAL_TYPE_API_KEY", principalId: key.keyId };
  await manage("policy.v1.PolicyService/BindPolicy", { policyId: policy.id, ...principal });
  return { manage, gateways, token, policyId: policy.id };
}

function managing(gateway: Pool, token: string): Manage {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return async <T>(method: string, body: object): Promise<T> => {
    const path = `/routeplane.${method}`;
    const response = await gateway.request({ method: "POST", path, headers, body: JSON.stringify(body) });
    if (response.statusCode !== 200) throw new Error(await response.body.text());
    return (await response.body.json()) as T;
  };
}

/** Milliseconds until every gateway answers with `status`. Each has just answered otherwise, from its cache. */
async function changeAndWatch({ manage, gateways, token, policyId }: Bench, change: string, status: number) {
  for (const gateway of gateways) {
    for (let twice = 0; twice < 2; twice++) {
      if ((await statusOf(gateway, token)) === status) throw new Error(`${change} has nothing to change`);
    }
  }
  const ends = gateways.map(async (gateway) => {
    while ((await statusOf(gateway, token)) !== status);
    return performance.now();
  });
  await manage(`policy.v1.PolicyService/${change}`, { id: policyId });
  const answeredAt = performance.now();
  return Math.max(0, Math.max(...(await Promise.all(ends))) - answeredAt);
}

/** Disconnects the feed: closes the connection on which the policy service receives changes, and refuses new ones; others stay. */
async function whileFeedIsDisconnected(admin: pg.Client, bench: Bench): Promise<number> {
  await admin.query("alter role routeplane_policy connection limit 0");
  try {
    const { rowCount } = await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where ${FEED}`);
    if (rowCount !== 1) throw new Error("there is no feed to disconnect");
    return await changeAndWatch(bench, "EnablePolicy", 403);
  } finally {
    await admin.query("alter role routeplane_policy connection limit -1");
    // Until the feed is live again at all gateways.
    await eventually(async () => {
      const { rows } = await admin.query(`select from pg_stat_activity where ${FEED}`);
      return rows.length === 1;
    });
    await delay(3_000);
    await changeAndWatch(bench, "DisablePolicy", 200);
  }
}

async function statusOf(gateway: Pool, token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const body = JSON.stringify({ model: "echo", max_tokens: 1, messages: [{ role: "user", content: "a" }] });
  const response = await gateway.request({ method: "POST", path: "/v1/chat/completions", headers, body });
  await response.body.dump();
  return response.statusCode;
}

await main();
