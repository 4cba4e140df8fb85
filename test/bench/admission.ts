import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AdmissionService } from "@routeplane/contracts/policy";
import { type Id, newId } from "@routeplane/domain";
import { connectGrpc, type GrpcClient } from "@routeplane/testing";
import pg from "pg";
import { addressesOf } from "../harness/addresses.ts";
import { superuserUrl } from "../harness/database.ts";
import { startNode, type TestNode } from "../harness/node.ts";

/**
 * Measures admissions per second, each settled at once, and the time of one, through the policy service of a running node over
 * gRPC: all on one budget, whose row they queue for, and spread over 1,000 budgets.
 */

const CONCURRENCY = 32;
const WARM_UP_MS = 3_000;
const MEASURE_MS = 10_000;
const BUDGETS = 1_000;
/** Limit that is never reached, so that nothing is denied. */
const LIMIT_MICRO_USD = 9_000_000_000_000_000;
const BOUNDS = { price: { inputPicoUsd: 0n, outputPicoUsd: 1_000_000n }, inputTokensMax: 100n, outputTokensMax: 100n };

interface Load {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function main(): Promise<void> {
  const node = await startNode();
  try {
    const { serviceToken, postgres } = await internalAccess(node);
    const client = connectGrpc((await addressesOf(node)).grpc.policy);
    for (const [name, budgets] of [
      ["one hot budget", 1],
      [`${BUDGETS} distinct budgets`, BUDGETS],
    ] as const) {
      const admit = admissions(client, serviceToken, await createBoundKeys(postgres, budgets));
      await run(admit, WARM_UP_MS);
      print(name, await run(admit, MEASURE_MS));
    }
    client.close();
    await postgres.end();
  } finally {
    await node.remove();
  }
}

interface BoundKeys {
  readonly namespaceId: Id<"ns">;
  readonly keyIds: readonly Id<"key">[];
}

/** Creates budgets for `count` keys of a namespace. The keys need not exist: the policy service trusts the lineage that the gateway sends. */
async function createBoundKeys(postgres: pg.Client, count: number): Promise<BoundKeys> {
  const [namespaceId, policyId] = [newId("ns"), newId("pol")];
  const keyIds = Array.from({ length: count }, () => newId("key"));
  const bindingIds = keyIds.map(() => newId("bnd"));
  const spec = JSON.stringify({ window: "day", limit_micro_usd: LIMIT_MICRO_USD });
  await postgres.query(
    "insert into policies (namespace_id, id, name, kind, spec, created_at) values ($1, $2, 'cap', 'budget', $3, now())",
    [namespaceId, policyId, spec],
  );
  await postgres.query(
    `insert into bindings (namespace_id, id, policy_id, principal_type, principal_id, created_at)
     select $1, binding_id, $2, 'api_key', key_id, now() from unnest($3::text[], $4::text[]) as b (binding_id, key_id)`,
    [namespaceId, policyId, bindingIds, keyIds],
  );
  return { namespaceId, keyIds };
}

/** Admits and settles one request after the other, for each key in turn. @returns the times of the admissions */
function admissions(client: GrpcClient, token: string, { namespaceId, keyIds }: BoundKeys): () => Promise<number> {
  const { admit, settle } = AdmissionService.method;
  let turn = 0;
  return async () => {
    const keyId = keyIds[turn++ % keyIds.length] ?? "";
    const reservationKey = { namespaceId, keyId, requestId: newId("req") };
    const started = performance.now();
    const { outcome } = await client.call(admit, { ...reservationKey, ...BOUNDS, lineage: [keyId] }, { token });
    const tookMs = performance.now() - started;
    if (outcome.case !== "admission") throw new Error("a request was denied");
    await client.call(settle, { ...reservationKey, costNanoUsd: 50_000n, tokens: 120n }, { token });
    return tookMs;
  };
}

async function run(admit: () => Promise<number>, durationMs: number): Promise<Load> {
  const latencies: number[] = [];
  const until = performance.now() + durationMs;
  const worker = async (): Promise<void> => {
    while (performance.now() < until) latencies.push(await admit());
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  latencies.sort((left, right) => left - right);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { perSecond: (latencies.length * 1_000) / durationMs, p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** Service token and superuser connection of the node. */
async function internalAccess(node: TestNode) {
  const secrets = await readFile(join(node.home, "secrets.json"), "utf8");
  const { serviceToken } = JSON.parse(secrets) as { readonly serviceToken: string };
  const postgres = new pg.Client({ connectionString: await superuserUrl(node.home) });
  await postgres.connect();
  await postgres.query("set search_path = policy");
  return { serviceToken, postgres };
}

function print(name: string, { perSecond, p50Ms, p99Ms }: Load): void {
  const figures = `${perSecond.toFixed(0).padStart(5)} admissions/s, each settled   p50 ${p50Ms.toFixed(1)} ms   p99 ${p99Ms.toFixed(1)} ms`;
  process.stdout.write(`${name.padEnd(24)}${figures}\n`);
}

await main();
