import { setImmediate as yieldToFeed, setTimeout as delay } from "node:timers/promises";
import { createRouterTransport } from "@connectrpc/connect";
import { VerificationService } from "@routeplane/contracts/auth";
import { mintToken } from "@routeplane/credentials";
import { newId } from "@routeplane/domain";
import { createVerifier } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import pg from "pg";
import { Pool } from "undici";
import { superuserUrl } from "../harness/database.ts";
import { startNode } from "../harness/node.ts";
import { printTimes } from "./times.ts";

/**
 * Measures the time until a revoked key, which each of three gateways has just verified, is refused by all: with the change feed,
 * and with the feed disconnected. Also the cost of a cached verification.
 */

const REVOCATIONS = Number(process.env["REVOCATIONS"] ?? 1_000);
const CUTS = Number(process.env["CUTS"] ?? 5);
const TOKENS = 10_000;
const VERIFICATIONS = 300_000;

interface Key {
  readonly id: string;
  readonly token: string;
}

async function main(): Promise<void> {
  await benchVerifier();
  const node = await startNode({ gateways: 3 });
  const gateways = node.urls.map((url) => new Pool(url));
  const admin = new pg.Client({ connectionString: await superuserUrl(node.home) });
  await admin.connect();
  try {
    const manage = managing(gateways[0] ?? new Pool(node.url), await node.apiKey());
    const fromAnswer: number[] = [];
    const fromSending: number[] = [];
    for (let count = 0; count < REVOCATIONS; count++) {
      const { afterAnswer, afterSending } = await revokeAndWatch(manage, gateways);
      fromAnswer.push(afterAnswer);
      fromSending.push(afterSending);
    }
    printTimes(`refused by the last of 3 gateways, after RevokeKey answered (${REVOCATIONS})`, fromAnswer);
    printTimes("the same, after RevokeKey was sent", fromSending);
    const disconnected: number[] = [];
    for (let count = 0; count < CUTS; count++)
      disconnected.push(await whileFeedIsDisconnected(admin, manage, gateways));
    printTimes(`the same with the feed disconnected, after RevokeKey answered (${CUTS})`, disconnected);
  } finally {
    await admin.end();
    await Promise.all(gateways.map((gateway) => gateway.close()));
    await node.remove();
  }
}

type Manage = <T>(method: string, body: object) => Promise<T>;

function managing(gateway: Pool, token: string): Manage {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return async <T>(method: string, body: object): Promise<T> => {
    const path = `/routeplane.auth.v1.KeyService/${method}`;
    const response = await gateway.request({ method: "POST", path, headers, body: JSON.stringify(body) });
    if (response.statusCode !== 200) throw new Error(await response.body.text());
    return (await response.body.json()) as T;
  };
}

async function warmKey(manage: Manage, gateways: readonly Pool[]): Promise<Key> {
  const minted = await manage<{ key: { id: string }; token: string }>("MintKey", {
    name: "bench",
    scopes: ["inference:invoke"],
  });
  for (const gateway of gateways) {
    for (let twice = 0; twice < 2; twice++) {
      if ((await statusOf(gateway, minted.token)) !== 200) throw new Error("a new key is refused");
    }
  }
  return { id: minted.key.id, token: minted.token };
}

/** Milliseconds until every gateway refuses. A gateway that has refused must not answer 200 again. */
async function revokeAndWatch(manage: Manage, gateways: readonly Pool[]) {
  const { id, token } = await warmKey(manage, gateways);
  const sentAt = performance.now();
  const refusals = gateways.map(async (gateway) => {
    while ((await statusOf(gateway, token)) === 200);
    return performance.now();
  });
  await manage("RevokeKey", { id });
  const answeredAt = performance.now();
  const last = Math.max(...(await Promise.all(refusals)));
  return { afterAnswer: Math.max(0, last - answeredAt), afterSending: last - sentAt };
}

/** Disconnects the feed: closes the connection on which auth receives changes, and refuses new ones; others stay. */
async function whileFeedIsDisconnected(admin: pg.Client, manage: Manage, gateways: readonly Pool[]): Promise<number> {
  await warmKey(manage, gateways);
  await admin.query("alter role routeplane_auth connection limit 0");
  try {
    const terminate =
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'routeplane-auth-changes'";
    const { rowCount } = await admin.query(terminate);
    if (rowCount !== 1) throw new Error("there is no feed to disconnect");
    return (await revokeAndWatch(manage, gateways)).afterAnswer;
  } finally {
    await admin.query("alter role routeplane_auth connection limit -1");
    // Until the feed is live again at all gateways.
    await eventually(async () => {
      const { rows } = await admin.query(
        "select from pg_stat_activity where application_name = 'routeplane-auth-changes'",
      );
      return rows.length === 1;
    });
    await delay(3_000);
  }
}

async function statusOf(gateway: Pool, token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  const { statusCode, body } = await gateway.request({ method: "GET", path: "/v1/models", headers });
  await body.dump();
  return statusCode;
}

/** Measures cached verifications in this process, each awaited, over 10,000 keys. */
async function benchVerifier(): Promise<void> {
  const auth = createRouterTransport(({ service }) => {
    service(VerificationService, {
      verifyKey() {
        const lineage = [newId("key"), newId("key")];
        const value = { keyId: lineage[1] ?? "", namespaceId: newId("ns"), accountId: newId("acc"), lineage };
        return { outcome: { case: "key", value: { ...value, scopes: ["inference:invoke"] } } };
      },
      async *watchChanges(_, { signal }) {
        for (; !signal.aborted; await delay(500)) yield { sequence: 1n, subjectId: "" };
      },
    });
  });
  const verifier = createVerifier(auth);
  await delay(100);
  const tokens = Array.from({ length: TOKENS }, () => mintToken("key"));
  for (const token of tokens) {
    await verifier.verify(token);
    await yieldToFeed();
  }
  const took = new Float64Array(VERIFICATIONS);
  const started = performance.now();
  for (let count = 0; count < VERIFICATIONS; count++) {
    const from = performance.now();
    await verifier.verify(tokens[(count * 7_919) % TOKENS] ?? "");
    took[count] = performance.now() - from;
    // Yields: a busy event loop receives no feed, and the cache would become stale.
    if (count % 1_000 === 0) await yieldToFeed();
  }
  const perSecond = (VERIFICATIONS * 1_000) / (performance.now() - started);
  took.sort();
  const micros = (share: number): string => `${((took[Math.floor(VERIFICATIONS * share)] ?? 0) * 1_000).toFixed(1)} us`;
  process.stdout.write(`cached verification: ${perSecond.toFixed(0)} /s   p50 ${micros(0.5)}   p99 ${micros(0.99)}\n`);
  await verifier.stop();
}

await main();
