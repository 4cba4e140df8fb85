import { Dimension } from "@routeplane/contracts/policy";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, it } from "vitest";
import { expireReservation } from "../src/domain/admission/reservation.ts";
import { createEndings } from "../src/domain/sessions/endings.ts";
import { createEndingStore } from "../src/store/ending-store.ts";
import { createLedger } from "../src/store/ledger.ts";
import { createReportStore } from "../src/store/report-store.ts";
import { createSessionStore } from "../src/store/session-store.ts";
import { createSliceStore } from "../src/store/slice-store.ts";
import { Gateway } from "./limits-property/gateway.ts";
import { check, read, total } from "./limits-property/invariants.ts";
import { endOf, publish } from "./limits-property/requests.ts";
import { newWorld, type PolicyProcess } from "./limits-property/world.ts";
import { type PolicyUnderTest, SERVICE_TOKEN, startPolicyUnderTest } from "./policy-under-test.ts";
import { prng } from "./random.ts";

/**
 * Random interleavings of gateways over two processes of the service, on budgets and rate limits of a namespace and of keys: like
 * `slices-property.test.ts`, but not only with money: also with requests, tokens, slots, renewals, policies that are disabled and enabled,
 * and sessions that end by themselves and are settled from the log. After every step the database is compared with what really happened.
 */
const SEEDS = Number(process.env["ROUTEPLANE_TEST_SEEDS"] ?? 12);
const STEPS = 60;

let policy: PolicyUnderTest;
let processes: readonly PolicyProcess[];
beforeAll(async () => {
  policy = await startPolicyUnderTest();
  processes = [policy.as(SERVICE_TOKEN), policy.process()];
});
afterAll(() => policy.stop());

async function run(seed: number): Promise<number> {
  const random = prng(seed);
  const world = await newWorld(policy, processes, random);
  const { database } = policy;
  const endings = createEndings({
    endings: createEndingStore(database),
    sessions: createSessionStore(database),
    slices: createSliceStore(database),
    reports: createReportStore(database),
    log: world.log,
    onUnaccounted: () => {},
    onFault: ({ cause }) => expect.fail(cause.message),
    // Amounts held back are not freed before the end of the test.
    sweepsAfterMs: [0, 0, 86_400_000],
  });
  const gateways = Array.from({ length: 3 }, () => new Gateway(world, random));
  const actions: readonly ((gateway: Gateway) => Promise<void>)[] = [
    (gateway) => gateway.acquire(),
    (gateway) => gateway.acquire(),
    (gateway) => gateway.acquire(),
    (gateway) => gateway.report(),
    (gateway) => gateway.report(),
    (gateway) => gateway.giveBack(),
    (gateway) => gateway.repeatLate(),
    (gateway) => gateway.central(),
    (gateway) => gateway.renew(),
    (gateway) => gateway.close(),
    async (gateway) => (random.chance(0.4) ? gateway.leave() : undefined),
    async (gateway) => (random.chance(0.3) ? gateway.lose() : undefined),
  ];
  const edits = [
    () => world.edit(),
    () => world.edit(),
    () => world.toggle(),
    () => world.toggle(),
    () => world.rebind(),
  ];
  const expire = async (): Promise<void> => {
    await policy.tamper(
      sql`update holds set expires_at = now() - interval '1 second' where namespace_id = ${world.namespaceId} and state = 'open'`,
    );
    await createLedger(database).expireDue(world.namespaceId, expireReservation);
  };
  /** The spool of a lost process is found: what it had not sent is sent late. */
  const findSpools = (): void => {
    const open = new Set(gateways.flatMap(({ isOpen, wire }) => (isOpen ? [wire.sessionId] : [])));
    for (const request of world.requests) {
      if (request.sessionId === undefined || open.has(request.sessionId) || random.chance(0.6)) continue;
      request.end ??= endOf(random, request.bound, request.tokensMax);
      if (request.published !== "settled") publish(world.log, world.namespaceId, request);
    }
  };
  let calls = 0;
  for (let step = 0; step < STEPS; step++) {
    for (const gateway of gateways) {
      for (let turns = random.int(4); turns > 0; turns--) gateway.admit();
      gateway.finish();
    }
    const isEdited = random.chance(0.12);
    if (isEdited) await random.pick(edits)();
    if (random.chance(0.3)) random.pick(gateways).known = [...world.places];
    world.log.consume(random.int(8));
    if (random.chance(0.1)) findSpools();
    if (random.chance(0.05)) await expire();
    const work: Promise<unknown>[] = gateways.flatMap((gateway) =>
      random.chance(0.8) ? [random.pick(actions)(gateway)] : [],
    );
    if (random.chance(0.5)) work.push(endings.run());
    calls += work.length;
    await Promise.all(work);
    await check(world, gateways, isEdited);
  }
  // In the end everything is reported or in the log, and every session is closed.
  for (const request of world.requests) request.end ??= endOf(random, request.bound, request.tokensMax);
  for (const request of world.requests)
    if (request.published !== "settled") publish(world.log, world.namespaceId, request);
  for (const gateway of gateways) gateway.leave();
  await gateways[0]?.report(true);
  world.log.consume(Infinity);
  for (let round = 0; round < 3; round++) await endings.run();
  await endings.sweepNow();
  await check(world, gateways, false);
  for (const gateway of gateways) while (gateway.old.length > 0) await gateway.close();
  for (let round = 0; round < 8; round++) {
    await policy.tamper(sql`update gateway_sessions set settled_at = settled_at - interval '2 days'`);
    await endings.run();
  }
  const { counters, holds } = await read(world);
  // A request that was never sent, but was charged in full because this was not reported in time, stays charged.
  const expired = new Set<string>(holds.flatMap((row) => (row.state === "expired" ? [row.request_id] : [])));
  for (const { id, spent, reserved, slots } of counters) {
    const due = total(
      world.requests.filter(({ on }) => on.some((each) => each.id === id && each.dimension === Dimension.MONEY)),
      ({ requestId, end, bound }) => (expired.has(requestId) ? bound : (end?.cost ?? 0n)),
    );
    expect([id, spent, reserved, slots]).toEqual([id, due, 0n, 0n]);
  }
  for (const { requestId, end } of world.requests) if (expired.has(requestId)) expect(end?.neverSent).toBe(true);
  return calls;
}

it(
  "any interleaving of grants, ends of sessions, edits and reports exceeds no limit, and counts each request once",
  async () => {
    let calls = 0;
    for (let seed = 1; seed <= SEEDS; seed++)
      calls += await run(seed).catch((error: unknown) => {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      });
    expect(calls).toBeGreaterThan(SEEDS * STEPS);
  },
  120_000 + SEEDS * 15_000,
);
