import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Client, createClient } from "@connectrpc/connect";
import { Dimension, GatewaySessionService, ReportOutcome } from "@routeplane/contracts/policy";
import { type Id, newId } from "@routeplane/domain";
import { serviceTransport } from "@routeplane/rpc";
import { constant, createLogger } from "@routeplane/runtime";
import pg from "pg";
import { addressesOf } from "../harness/addresses.ts";
import { superuserUrl } from "../harness/database.ts";
import { startNode, type TestNode } from "../harness/node.ts";
import { openInspector } from "./inspector.ts";
import { printSelfTimes } from "./self-times.ts";
import { cpuByRole } from "./cost/node-figures.ts";

/**
 * Measures the CPU time of the policy service and of Postgres for each request that a gateway reports in bulk: 1,000 in a call, of one
 * namespace and of 100, on two budgets and on 200.
 *
 * CALLS is the number of measured calls of each case (40), REPORTS that of requests in a call (1,000), SHAPE=1 measures only the second case. PROFILE=1 prints a CPU profile of the policy service with it.
 */

const { CALLS = "40", PROFILE, SHAPE } = process.env;
const REPORTS = Number(process.env["REPORTS"] ?? 1_000);
const WARM_UP_CALLS = 10;
/** Limit that is never reached. */
const LIMIT_MICRO_USD = 9_000_000_000;
const BOUND_NANO = 1_000_000n;

async function main(): Promise<void> {
  const node = await startNode();
  const postgres = new pg.Client({ connectionString: await superuserUrl(node.home) });
  try {
    await postgres.connect();
    await postgres.query("set search_path = policy");
    const sessions = await connect(node);
    const shapes = [
      [1, 2],
      [100, 2],
      [1, 200],
    ] as const;
    for (const [namespaces, budgets] of shapes.filter((_, index) => SHAPE === undefined || Number(SHAPE) === index))
      await measure(node, sessions, await openSession(sessions, postgres, namespaces, budgets), {
        namespaces,
        budgets,
      });
  } finally {
    await postgres.end();
    await node.remove();
  }
}

async function connect(node: TestNode): Promise<Client<typeof GatewaySessionService>> {
  const secrets: unknown = JSON.parse(await readFile(join(node.home, "secrets.json"), "utf8"));
  const { serviceTokens } = secrets as { serviceTokens: { gateway: string } };
  const { policy } = await addressesOf(node);
  const transport = serviceTransport({
    url: `http://${policy}`,
    serviceToken: constant(serviceTokens.gateway),
    tls: undefined,
    log: createLogger("bench", (line) => line),
  });
  return createClient(GatewaySessionService, transport);
}

interface Session {
  readonly sessionId: Id<"gws">;
  readonly namespaceIds: readonly Id<"ns">[];
}

/** Opens a session with a slice of each budget of each namespace, which no report uses up. */
async function openSession(
  sessions: Client<typeof GatewaySessionService>,
  postgres: pg.Client,
  namespaces: number,
  budgets: number,
): Promise<Session> {
  const sessionId = newId("gws");
  await sessions.renewSession({ sessionId, renewal: 1n, nonce: 1n, gateway: "bench" });
  const namespaceIds = Array.from({ length: namespaces }, () => newId("ns"));
  const spec = JSON.stringify({ window: "day", limit_micro_usd: LIMIT_MICRO_USD });
  for (const namespaceId of namespaceIds) {
    const counters = Array.from({ length: budgets }, () => ({
      bindingId: newId("bnd"),
      dimension: Dimension.MONEY,
      needed: BOUND_NANO * BigInt(REPORTS),
    }));
    for (const { bindingId } of counters) {
      const policyId = newId("pol");
      await postgres.query(
        "insert into policies (namespace_id, id, name, kind, spec, created_at) values ($1, $2, $2, 'budget', $3, now())",
        [namespaceId, policyId, spec],
      );
      await postgres.query(
        `insert into bindings (namespace_id, id, policy_id, principal_type, principal_id, created_at)
         values ($1, $2, $3, 'namespace', $1, now())`,
        [namespaceId, bindingId, policyId],
      );
    }
    const { grants } = await sessions.acquireSlices({ sessionId, requests: [{ namespaceId, limitSet: 1, counters }] });
    if (grants[0]?.granted !== true) throw new Error("nothing was granted");
  }
  return { sessionId, namespaceIds };
}

async function measure(
  node: TestNode,
  sessions: Client<typeof GatewaySessionService>,
  { sessionId, namespaceIds }: Session,
  shape: { readonly namespaces: number; readonly budgets: number },
): Promise<void> {
  const keyId = newId("key");
  const call = async (): Promise<void> => {
    const reports = Array.from({ length: REPORTS }, (_, n) => ({
      namespaceId: namespaceIds[n % namespaceIds.length] ?? "",
      keyId,
      requestId: newId("req"),
      sessionId,
      limitSet: 1,
      boundNanoUsd: BOUND_NANO,
      end: { case: "settled" as const, value: { costNanoUsd: 1_000n, tokens: 10n } },
    }));
    const { outcomes } = await sessions.reportSettlements({ reports });
    if (outcomes.some((outcome) => outcome !== ReportOutcome.DONE)) throw new Error("a report was not applied");
  };
  for (let n = 0; n < WARM_UP_CALLS; n++) await call();
  const inspector = PROFILE === undefined ? undefined : await openInspector(node, "policy");
  await inspector?.startProfile();
  const before = await cpuByRole(node);
  for (let n = 0; n < Number(CALLS); n++) await call();
  const after = await cpuByRole(node);
  const requests = Number(CALLS) * REPORTS;
  const micros = (role: "policy" | "postgres") => (1e6 * (after[role] - before[role])) / requests;
  const [policy, database] = [micros("policy"), micros("postgres")];
  const name = `${shape.namespaces} namespaces, ${shape.budgets} budgets each`;
  const figures = `policy ${policy.toFixed(1)} us, Postgres ${database.toFixed(1)} us, together ${(policy + database).toFixed(1)} us`;
  process.stdout.write(`${name.padEnd(34)}${figures}\n`);
  if (inspector !== undefined) printSelfTimes(await inspector.stopProfile(), requests);
}

await main();
