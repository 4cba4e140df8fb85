import { Dimension } from "@routeplane/contracts/policy";
import { newId, type Id } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { expireReservation } from "../src/domain/admission/reservation.ts";
import { createEndings, type SessionRequest } from "../src/domain/sessions/endings.ts";
import { createEndingStore } from "../src/store/ending-store.ts";
import { createLedger } from "../src/store/ledger.ts";
import { createReportStore } from "../src/store/report-store.ts";
import { createSessionStore } from "../src/store/session-store.ts";
import { createSliceStore } from "../src/store/slice-store.ts";
import { FakeSessionLog } from "./fake-session-log.ts";
import { openGateway } from "./gateway-under-test.ts";
import { type PolicyUnderTest, SERVICE_TOKEN, startPolicyUnderTest } from "./policy-under-test.ts";

/**
 * The rules by which lost sessions end, in random orders against the real database: what the log knows at a moment, what was reported,
 * which events wait as dead letters or in a spool that is found again, and when the log is asked.
 */

vi.setConfig({ testTimeout: 1_800_000 });

const RUNS = process.env["ROUTEPLANE_FAULTS"] === "full" ? 400 : 15;
const STEPS = 40;
/** The last one represents the day after which nothing more can arrive; the test decides when it comes. */
const SWEEPS_AFTER_MS = [0, 0, 86_400_000];

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

/** Real state of a request, independent of what the service or the log knows. */
interface TrueRequest {
  readonly keyId: Id<"key">;
  readonly requestId: Id<"req">;
  readonly sessionId: Id<"gws">;
  readonly boundNano: bigint;
  /** Cost that the provider bills; undefined while it runs. */
  costNano: bigint | undefined;
  /** Latest state in the stream. */
  published: "nothing" | "admitted" | "settled";
  isReported: boolean;
}

it(`loses no charge, makes none twice, and frees what is left, in ${RUNS} random orders`, async () => {
  for (let run = 1; run <= RUNS; run++) {
    const seed = Number(process.env["SEED"] ?? (Math.random() * 2 ** 31) | 0);
    try {
      await runOnce(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
});

async function runOnce(seed: number): Promise<void> {
  const random = prng(seed);
  const int = (below: number): number => Math.floor(random() * below);
  const chance = (share: number): boolean => random() < share;
  const { namespaceId, key, binding } = await policy.oneBudget(1_000_000n, "total");
  const second = await policy.budget(namespaceId, 1_000_000n, key.lineage[0], "total");
  const bindingIds = [binding.id, second.binding.id];
  const log = new FakeSessionLog();
  const database = policy.database;
  const [sessions, slices] = [createSessionStore(database), createSliceStore(database)];
  const reports = createReportStore(database);
  let unaccounted = 0n;
  const endings = createEndings({
    endings: createEndingStore(database),
    sessions,
    slices,
    reports,
    log,
    onUnaccounted: ({ nano }) => (unaccounted += nano),
    onFault: ({ cause }) => {
      throw cause;
    },
    sweepsAfterMs: SWEEPS_AFTER_MS,
  });
  const all: TrueRequest[] = [];
  const gateways = await Promise.all(
    [0, 1].map(async () => {
      const gateway = openGateway(policy.as(SERVICE_TOKEN).sessions);
      await gateway.renew();
      const doubt = BigInt(int(4) * 100);
      const counters = bindingIds.map((bindingId) => ({
        bindingId,
        dimension: Dimension.MONEY,
        needed: 1_000n,
        wanted: BigInt(int(2_000)),
        doubt,
      }));
      const { grants } = await gateway.acquire({ namespaceId, limitSet: 1, counters });
      const free = (grants[0]?.counters ?? []).reduce(
        (least, { granted }) => (granted < least ? granted : least),
        10n ** 9n,
      );
      return { sessionId: gateway.sessionId, doubt, free, isLost: false };
    }),
  );
  /** Bounds of requests whose admission the log has not acknowledged. */
  const inDoubt = (sessionId: Id<"gws">): bigint =>
    all.reduce(
      (sum, each) => sum + (each.sessionId === sessionId && each.published === "nothing" ? each.boundNano : 0n),
      0n,
    );
  const publish = (each: TrueRequest): void => {
    each.published = each.costNano === undefined ? "admitted" : "settled";
    log.publish(namespaceId, each.sessionId, toLogged(each));
  };
  const report = async (each: TrueRequest, isUnknown: boolean): Promise<void> => {
    const { costNano = 0n } = each;
    const end = isUnknown ? ({ kind: "unknown" } as const) : ({ kind: "settled", costNano, tokens: 0n } as const);
    await reports.apply(namespaceId, [{ ...toLogged(each), namespaceId, sessionId: each.sessionId, end }]);
    each.isReported = true;
  };
  /** A process of the gateway, while it lives. */
  const live = async (gateway: (typeof gateways)[number]): Promise<void> => {
    const bound = BigInt(10 + int(90));
    const { sessionId } = gateway;
    if (chance(0.5) && gateway.free >= bound && inDoubt(sessionId) + bound <= gateway.doubt) {
      gateway.free -= bound;
      const keyId = key.lineage[0] ?? newId("key");
      all.push({
        keyId,
        requestId: newId("req"),
        sessionId,
        boundNano: bound,
        costNano: undefined,
        published: "nothing",
        isReported: false,
      });
    }
    const mine = all.filter((each) => each.sessionId === sessionId && !each.isReported);
    for (const each of mine) {
      if (each.published === "nothing" && chance(0.3)) publish(each);
      // Sometimes more than the bound.
      if (each.published !== "nothing" && each.costNano === undefined && chance(0.4))
        each.costNano = chance(0.1) ? each.boundNano + 5n : BigInt(int(Number(each.boundNano) + 1));
      if (each.costNano !== undefined && each.published === "admitted" && chance(0.6)) publish(each);
      // Only what the log has acknowledged is reported.
      if (each.published === "settled" && chance(0.3)) await report(each, false);
    }
  };
  const lose = async (gateway: (typeof gateways)[number]): Promise<void> => {
    gateway.isLost = true;
    await sessions.end(gateway.sessionId, 1n);
  };
  /** The spool is found: the events and settlements in it arrive late. */
  const findSpool = async (gateway: (typeof gateways)[number]): Promise<void> => {
    for (const each of all.filter(({ sessionId }) => sessionId === gateway.sessionId)) {
      if (chance(0.4)) continue;
      // It had ended, and its settlement was pending in the spool.
      if (each.costNano === undefined && chance(0.4)) each.costNano = BigInt(int(Number(each.boundNano) + 1));
      const isNews = each.published === "nothing" || (each.published === "admitted" && each.costNano !== undefined);
      if (isNews) publish(each);
      if (each.costNano !== undefined && !each.isReported && chance(0.5)) await report(each, false);
    }
  };
  const expire = async (): Promise<void> => {
    await policy.tamper(
      sql`update holds set expires_at = now() - interval '1 second' where namespace_id = ${namespaceId} and state = 'open'`,
    );
    await createLedger(database).expireDue(namespaceId, expireReservation);
  };
  const rowsOf = async (): Promise<
    ReadonlyMap<string, { state: string; costNano: bigint | null; amountNano: bigint }>
  > => {
    const { rows } = await policy.admin.within({}, (tx) =>
      sql<{ id: string; state: string; cost: bigint | null; amount: bigint }>`
        select request_id as id, state, cost_nano as cost, amount_nano as amount from holds where namespace_id = ${namespaceId}`.execute(
        tx,
      ),
    );
    return new Map(rows.map(({ id, state, cost, amount }) => [id, { state, costNano: cost, amountNano: amount }]));
  };
  /** Maximum that each counter may count, in addition to overruns and charges from dead letters: grants are made only at the start. */
  const ceilings = new Map<Id<"bnd">, bigint>();
  /**
   * Checks the invariants: reserved amounts belong to their owners, amounts without a row are still set aside, and a late charge uses the
   * amount set aside for it instead of counting in addition. Charges of dead letters can be late, and are not set aside.
   */
  const check = async (): Promise<void> => {
    const rows = await rowsOf();
    const open = [...rows.values()].reduce(
      (sum, { state, amountNano }) => sum + (state === "open" ? amountNano : 0n),
      0n,
    );
    const charged = [...rows.values()].reduce(
      (sum, { state, costNano, amountNano }) =>
        sum + (state === "settled" ? (costNano ?? 0n) : state === "expired" ? amountNano : 0n),
      0n,
    );
    const { rows: slicesNow } = await policy.admin.within({}, (tx) =>
      sql<{ binding_id: Id<"bnd">; session_id: Id<"gws">; set_aside: bigint }>`
        select binding_id, session_id, greatest(granted - returned - used, 0) + held_back as set_aside from slices
        where namespace_id = ${namespaceId}`.execute(tx),
    );
    const totals = await policy.totals(namespaceId);
    const { rows: states } = await policy.admin.within({}, (tx) =>
      sql<{
        id: Id<"gws">;
        state: string;
      }>`select id, state from gateway_sessions where id = any(${gateways.map(({ sessionId }) => sessionId)})`.execute(
        tx,
      ),
    );
    for (const bindingId of bindingIds) {
      const setAside = slicesNow.filter((each) => each.binding_id === bindingId);
      const expected = open + setAside.reduce((sum, each) => sum + each.set_aside, 0n);
      expect(totals.get(bindingId)?.reservedNano, "reserved").toBe(expected);
      expect(totals.get(bindingId)?.spentNano, "spent").toBe(charged);
      const beside = all.reduce((sum, { requestId, boundNano }) => {
        const row = rows.get(requestId);
        if (row === undefined) return sum;
        const overrun = row.state === "settled" ? (row.costNano ?? 0n) - boundNano : 0n;
        return sum + (overrun > 0n ? overrun : 0n) + (log.wereDeadLetters.has(requestId) ? boundNano : 0n);
      }, 0n);
      const counted = expected + charged - beside;
      const ceiling = ceilings.get(bindingId);
      if (ceiling !== undefined) expect(counted, "counted").toBeLessThanOrEqual(ceiling);
      ceilings.set(bindingId, counted);
      for (const { id, state } of states) {
        if (state === "closed") continue;
        const uncharged = all.filter(
          ({ sessionId, requestId }) => sessionId === id && !rows.has(requestId) && !log.wereDeadLetters.has(requestId),
        );
        const live = uncharged.reduce(
          (sum, { costNano, boundNano }) => sum + least(costNano ?? boundNano, boundNano),
          0n,
        );
        const kept = setAside.find((each) => each.session_id === id)?.set_aside ?? 0n;
        expect(kept, `set aside of a session that is ${state}`).toBeGreaterThanOrEqual(live);
      }
    }
  };

  for (let step = 0; step < STEPS; step++) {
    const gateway = gateways[int(2)] ?? gateways[0];
    if (gateway === undefined) return;
    if (!gateway.isLost) await (chance(0.2) ? lose(gateway) : live(gateway));
    const act = random();
    if (act < 0.3) log.consume(int(4));
    else if (act < 0.7) await endings.run();
    else if (act < 0.75) log.holdBackNext();
    else if (act < 0.8) log.replay();
    else if (act < 0.88 && gateway.isLost) await findSpool(gateway);
    else if (act < 0.94) await expire();
    else await endings.sweepNow();
    await check();
  }
  // In the end the log has everything that was ever published, and every lost session is closed.
  for (const gateway of gateways) if (!gateway.isLost) await lose(gateway);
  log.replay();
  for (let round = 0; round < 12; round++) {
    log.consume(Infinity);
    await endings.run();
    await check();
    if (round === 4 || round === 11) await expire();
    if (round === 6) await policy.tamper(sql`update gateway_sessions set settled_at = settled_at - interval '2 days'`);
  }
  const rows = await rowsOf();
  const totals = await policy.totals(namespaceId);
  const due = all.reduce((sum, each) => {
    if (each.published === "settled" || (each.isReported && each.costNano !== undefined))
      return sum + (each.costNano ?? 0n);
    return sum + (each.published === "admitted" ? each.boundNano : 0n);
  }, 0n);
  for (const bindingId of bindingIds)
    expect(totals.get(bindingId), `after ${rows.size} rows`).toMatchObject({ spentNano: due, reservedNano: 0n });
  const inDoubtAtTheEnd = all.reduce((sum, each) => sum + (each.published === "nothing" ? each.boundNano : 0n), 0n);
  expect(unaccounted).toBeGreaterThanOrEqual(inDoubtAtTheEnd === 0n ? 0n : 1n);
}

function toLogged({ keyId, requestId, boundNano, costNano }: TrueRequest): SessionRequest {
  const isOver = costNano !== undefined;
  return {
    keyId,
    requestId,
    limitSet: 1,
    countedAtMs: undefined,
    boundNano,
    tokensMax: 0n,
    end: isOver ? { kind: "settled", costNano, tokens: 0n } : undefined,
    expiresAt: isOver ? undefined : new Date(Date.now() + 900_000),
  };
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

/** Random numbers of a seed (mulberry32), so that a run can be repeated. */
function prng(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
