import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createRouterTransport } from "@connectrpc/connect";
import { DomainError, type Id, newId } from "@routeplane/domain";
import {
  DEFAULT_STREAM_SETTINGS,
  type EventPublisher,
  openPublisher,
  parseNatsUrl,
  toUsageRecord,
} from "@routeplane/events";
import { type Database, openDatabase } from "@routeplane/postgres";
import { createLogger } from "@routeplane/runtime";
import { authorized, eventually, SERVING, startNats, type TestNats } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { createSessionLog } from "../../services/policy/src/clients/session-log.ts";
import { createEndings } from "../../services/policy/src/domain/sessions/endings.ts";
import { createEndingStore } from "../../services/policy/src/store/ending-store.ts";
import { createReportStore } from "../../services/policy/src/store/report-store.ts";
import type { PolicySchema } from "../../services/policy/src/store/schema.ts";
import { createSessionStore } from "../../services/policy/src/store/session-store.ts";
import { createSliceStore } from "../../services/policy/src/store/slice-store.ts";
import { openGateway } from "../../services/policy/test/gateway-under-test.ts";
import {
  type PolicyUnderTest,
  SERVICE_TOKEN,
  startPolicyUnderTest,
} from "../../services/policy/test/policy-under-test.ts";
import { wireUsage } from "../../services/usage/src/app.ts";
import type { UsageSchema } from "../../services/usage/src/store/schema.ts";
import { type AggregatorProcess, spawnAggregator } from "../../services/usage/test/aggregator-process.ts";
import { pendingRequest, settledRequest, usageEvent } from "../../services/usage/test/requests.ts";

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

const ROUNDS = process.env["ROUTEPLANE_FAULTS"] === "full" ? 50 : 3;
const REQUESTS = 40;
/**
 * Time within which the first attempt to settle is killed. Each attempt has one and a half times as long as the previous one, so that one
 * finishes on a busy machine too.
 */
const KILL_WITHIN_MS = 150;

let policy: PolicyUnderTest;
let nats: TestNats;
let usage: Database<UsageSchema>;
let publisher: EventPublisher;
let aggregator: AggregatorProcess;
let folder: string;

beforeAll(async () => {
  [policy, nats] = await Promise.all([startPolicyUnderTest(), startNats()]);
  usage = openDatabase<UsageSchema>({
    url: policy.urlOf("routeplane_usage"),
    schema: "usage",
    applicationName: "test",
  });
  folder = await mkdtemp(join(tmpdir(), "routeplane-lost-"));
  const address = parseNatsUrl(nats.gatewayUrl);
  if (address === undefined) throw new Error("unreachable: the test server's URL is well-formed");
  publisher = openPublisher({
    nats: address,
    settings: DEFAULT_STREAM_SETTINGS,
    installation: async () => undefined,
    log: createLogger("test", () => ""),
    name: "gateway",
    folder,
  });
  aggregator = startAggregator();
});

afterAll(async () => {
  await aggregator?.kill();
  await publisher?.stop();
  await Promise.all([usage?.stop(), policy?.stop()]);
  await nats?.remove();
  await rm(folder, { recursive: true, force: true });
});

function startAggregator(): AggregatorProcess {
  return spawnAggregator({ databaseUrl: policy.urlOf("routeplane_aggregator"), natsUrl: nats.aggregatorUrl });
}

/** Process that ends sessions over connections of its own, which `kill` closes at any moment. */
function startSettling() {
  const applicationName = `settling-${newId("req")}`;
  const database = openDatabase<PolicySchema>({
    url: policy.urlOf("routeplane_policy"),
    schema: "policy",
    applicationName,
  });
  const { routes, interceptors } = wireUsage({
    ...SERVING,
    serviceCredentials: { callerOf: (token) => (token === "rps_test" ? "policy" : undefined) },
    database: usage,
    verifyToken: async () => {
      throw new DomainError("unauthenticated", "CREDENTIAL_INVALID", "unknown key");
    },
    log: createLogger("test", () => "", "silent"),
    clock: Date.now,
  });
  const endings = createEndings({
    endings: createEndingStore(database),
    sessions: createSessionStore(database),
    slices: createSliceStore(database),
    reports: createReportStore(database),
    log: createSessionLog(authorized(createRouterTransport(routes, { router: { interceptors } }), "rps_test")),
    onUnaccounted: () => {},
    onFault: ({ cause }) => expect.fail(cause.message),
  });
  return {
    run: () => endings.run(),
    async kill() {
      await policy.tamper(
        sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = ${applicationName}`,
      );
      await database.stop();
    },
  };
}

/** Lost session with `REQUESTS` requests in the stream: each third one runs, and some were reported before. */
async function loseSession() {
  const budget = await policy.oneBudget(1_000_000n, "total");
  const { namespaceId, key, binding } = { ...budget, namespaceId: budget.key.namespaceId };
  const gateway = openGateway(policy.as(SERVICE_TOKEN).sessions);
  await gateway.renew();
  await gateway.money(namespaceId, binding.id, { needed: 1_000_000n, doubt: 500n });
  const keyId = key.lineage[0] ?? newId("key");
  let [spent, running] = [0n, 0n];
  for (let nth = 0; nth < REQUESTS; nth++) {
    const slices = { sessionId: gateway.sessionId, limitSet: 1, countedAt: undefined, tokensMax: 46n };
    const pending = pendingRequest({ namespaceId, keyId, createdAt: new Date(), reservedNanoUsd: 1_000n, slices });
    const costNanoUsd = BigInt(nth * 10);
    const isRunning = nth % 3 === 0;
    if (isRunning) running += 1_000n;
    else spent += costNanoUsd;
    await publisher.record(toUsageRecord(usageEvent(pending))).committed();
    if (!isRunning)
      await publisher.record(toUsageRecord(usageEvent(settledRequest(pending, { costNanoUsd })))).committed();
    if (nth % 5 === 1 && !isRunning)
      await gateway.report(gateway.settled(namespaceId, 1_000n, costNanoUsd, { keyId, requestId: pending.id }));
  }
  await createSessionStore(policy.database).end(gateway.sessionId, 1n);
  return { ...budget, sessionId: gateway.sessionId, expected: { spentNano: spent, reservedNano: running + 500n } };
}

async function stateOf(sessionId: Id<"gws">): Promise<string | undefined> {
  const { rows } = await policy.admin.within({}, (tx) =>
    sql<{ state: string }>`select state from gateway_sessions where id = ${sessionId}`.execute(tx),
  );
  return rows[0]?.state;
}

it("a lost session waits while the aggregator is stopped, and is settled to the nano-USD once it runs", async () => {
  await aggregator.stop();
  const { sessionId, expected, total } = await loseSession();
  const settling = startSettling();
  for (let round = 0; round < 5; round++) {
    await settling.run();
    await delay(200);
  }
  expect(await stateOf(sessionId)).toBe("ended");
  expect(await total()).toMatchObject({ spentNano: expect.any(BigInt) as bigint });
  aggregator = startAggregator();
  await eventually(async () => {
    await settling.run();
    return (await stateOf(sessionId)) === "settled";
  }, 60_000);
  expect(await total()).toMatchObject(expected);
  await settling.kill();
});

it(
  `a lost session is settled once, whatever is killed meanwhile: ${ROUNDS} rounds`,
  async () => {
    for (let round = 0; round < ROUNDS; round++) {
      if (round % 3 === 0) {
        await aggregator.kill();
        aggregator = startAggregator();
      }
      const { sessionId, expected, total } = await loseSession();
      let killWithinMs = KILL_WITHIN_MS;
      await eventually(async () => {
        await policy.tamper(sql`update gateway_sessions set claimed_until = null`);
        const settling = startSettling();
        const running = settling.run().catch(() => undefined);
        await delay(Math.random() * killWithinMs);
        killWithinMs *= 1.5;
        await settling.kill();
        await running;
        return (await stateOf(sessionId)) === "settled";
      });
      expect(await total(), `round ${round}`).toMatchObject(expected);
    }
  },
  120_000 + ROUNDS * 30_000,
);
