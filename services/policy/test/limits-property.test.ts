import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Dimension, ReportOutcome, SessionState } from "@routeplane/contracts/policy";
import { type Id, newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, it } from "vitest";
import { expireReservation } from "../src/domain/admission/reservation.ts";
import { createEndings, type SessionRequest } from "../src/domain/sessions/endings.ts";
import { createEndingStore } from "../src/store/ending-store.ts";
import { createLedger } from "../src/store/ledger.ts";
import { createReportStore } from "../src/store/report-store.ts";
import { createSessionStore } from "../src/store/session-store.ts";
import { createSliceStore } from "../src/store/slice-store.ts";
import { FakeSessionLog } from "./fake-session-log.ts";
import { openGateway, type ReportInit } from "./gateway-under-test.ts";
import { type PolicyUnderTest, requestOf, SERVICE_TOKEN, startPolicyUnderTest } from "./policy-under-test.ts";
import { larger, lesser, prng, type Random } from "./random.ts";

/**
 * Random interleavings of gateways over two processes of the service, on budgets and rate limits of a namespace and of keys: what
 * `slices-property.test.ts` has for money alone, with requests, tokens, slots, renewals, policies that are disabled and enabled, and sessions that
 * end by themselves and are settled from the log. After every step the database is compared with what really happened.
 */
const SEEDS = Number(process.env["ROUTEPLANE_TEST_SEEDS"] ?? 12);
const STEPS = 60;
/** Window from which nothing leaves while a test runs. Its buckets are 36 s long. */
const WINDOW_SECS = 3_600;
const BUCKET_MS = WINDOW_SECS * 10;
const { MONEY, REQUESTS, TOKENS, CONCURRENT } = Dimension;

let policy: PolicyUnderTest;
let processes: readonly ReturnType<PolicyUnderTest["as"]>[];
beforeAll(async () => {
  policy = await startPolicyUnderTest();
  processes = [policy.as(SERVICE_TOKEN), policy.process()];
});
afterAll(() => policy.stop());

/** Request as it really is, whoever knows of it. */
interface Request {
  readonly keyId: Id<"key">;
  readonly requestId: Id<"req">;
  readonly sessionId: Id<"gws"> | undefined;
  readonly limitSet: number;
  /** Bindings that it counts on, by dimension. */
  readonly on: readonly Counted[];
  readonly bound: bigint;
  readonly tokensMax: bigint;
  readonly countedAt: Timestamp | undefined;
  /** End; undefined while it runs. */
  end: { readonly cost: bigint; readonly tokens: bigint; readonly neverSent: boolean } | undefined;
  /** Latest state that the stream of the log has. Requests of the service's own admission are not read from it. */
  published: "nothing" | "admitted" | "settled";
  isReported: boolean;
}

interface Counted {
  readonly id: Id<"bnd">;
  readonly dimension: Dimension;
}

/** Sums of one counter of money or slots, as a gateway knows them. */
interface Standing {
  granted: bigint;
  returned: bigint;
  used: bigint;
  running: bigint;
  doubt: bigint;
}

interface RateSlice {
  amount: bigint;
  readonly countedAt: Timestamp;
  readonly endsAtMs: number;
}

const freeOf = ({ granted, returned, used, running }: Standing): bigint => granted - returned - used - running;
const nameOf = ({ id, dimension }: Counted): string => `${id} ${dimension}`;

const BUDGET = { kind: "budget", window: "total", limitMicroUsd: 70n } as const;
const RATES = { windowSecs: WINDOW_SECS, maxRequests: 50n, maxTokens: 600n, maxConcurrent: 64n };

/** Two budgets on a namespace and a key, and two rate limits on them; some are edited, disabled, enabled, unbound and bound anew. */
async function newWorld(random: Random) {
  const namespaceId = newId("ns");
  const keys = [policy.key(namespaceId), policy.key(namespaceId)] as const;
  const specs = [BUDGET, { kind: "rate_limit", ...RATES }] as const;
  const bind = (index: number) =>
    policy.bound(namespaceId, specs[index % 2] ?? BUDGET, index < 2 ? undefined : keys[0].id);
  const places = await Promise.all([0, 1, 2, 3].map(bind));
  const place = () => random.int(places.length);
  return {
    namespaceId,
    keys,
    places,
    requests: [] as Request[],
    log: new FakeSessionLog(),
    /** Requests and tokens that were granted, or admitted by the service, less what was returned, by counter. */
    counted: new Map<string, bigint>(),
    ceilings: new Map<string, bigint>(),
    sums: new Map<string, readonly bigint[]>(),
    /** Amounts that the slices of lost sessions have used and keep reserved, by session and binding. */
    lost: new Map<Id<"gws">, Map<Id<"bnd">, bigint>>(),
    rows: new Map<string, { readonly state: string; readonly cost: bigint | null }>(),
    startedAtMs: Date.now(),
    /** Counters of a key's requests. */
    countersOf(nth: number, of: readonly (typeof places)[number][]): readonly Counted[] {
      return of
        .slice(0, nth === 0 ? 4 : 2)
        .flatMap(({ binding: { id }, policy: { spec } }): readonly Counted[] =>
          spec.kind === "budget"
            ? [{ id, dimension: MONEY }]
            : [REQUESTS, TOKENS, CONCURRENT].map((dimension) => ({ id, dimension })),
        );
    },
    count(counter: Counted, amount: bigint): void {
      this.counted.set(nameOf(counter), (this.counted.get(nameOf(counter)) ?? 0n) + amount);
    },
    async edit() {
      const { policy: edited } = places[place()] ?? expect.fail("no place");
      const factor = 40 + random.int(120);
      const share = (amount: bigint): number => Math.floor((Number(amount) * factor) / 100);
      const spec =
        edited.spec.kind === "budget"
          ? { window: "total", limit_micro_usd: share(BUDGET.limitMicroUsd) }
          : {
              window_secs: WINDOW_SECS,
              max_requests: share(RATES.maxRequests),
              max_tokens: share(RATES.maxTokens),
              max_concurrent: Math.max(64, share(RATES.maxConcurrent)),
            };
      await policy.tamper(sql`update policies set spec = ${JSON.stringify(spec)}::jsonb where id = ${edited.id}`);
    },
    async toggle() {
      const { policy: toggled } = places[place()] ?? expect.fail("no place");
      await policy.tamper(
        sql`update policies set disabled_at = case when disabled_at is null then now() end where id = ${toggled.id}`,
      );
    },
    async rebind() {
      const index = place();
      const id = places[index]?.binding.id;
      // As the store does: the counter is locked first.
      await policy.tamper(sql`with locked as (select from counters where binding_id = ${id} for update)
        delete from bindings where id = ${id} and (select count(*) from locked) >= 0`);
      places[index] = await bind(index);
    },
  };
}

type World = Awaited<ReturnType<typeof newWorld>>;

class Gateway {
  readonly world: World;
  readonly random: Random;
  wire = openGateway(processes[0]?.sessions ?? expect.fail("no process"));
  standing = new Map<string, Standing>();
  rates = new Map<string, RateSlice[]>();
  sets = new Map<string, number>();
  granted = new Set<number>();
  known: World["places"];
  isOpen = false;
  isLost = false;
  /** Repeats an earlier call that gave something back. */
  late: (() => Promise<unknown>) | undefined;
  renewal = 1n;
  /** Sessions to be closed once everything of them is reported. */
  readonly old: Gateway["wire"][] = [];

  constructor(world: World, random: Random) {
    this.world = world;
    this.random = random;
    this.known = [...world.places];
  }

  async open(): Promise<void> {
    this.wire = openGateway(this.random.pick(processes).sessions);
    this.standing = new Map();
    this.rates = new Map();
    this.sets = new Map();
    this.granted = new Set();
    this.isLost = false;
    this.late = undefined;
    this.renewal = 1n;
    this.isOpen = (await this.wire.renew()).state === SessionState.OPEN;
  }

  slice(counter: Counted): Standing {
    const slice = this.standing.get(nameOf(counter)) ?? { granted: 0n, returned: 0n, used: 0n, running: 0n, doubt: 0n };
    this.standing.set(nameOf(counter), slice);
    return slice;
  }

  slicesOf(counter: Counted): RateSlice[] {
    const slices = this.rates.get(nameOf(counter)) ?? [];
    this.rates.set(nameOf(counter), slices);
    return slices;
  }

  lineage() {
    const nth = this.random.int(2);
    const on = this.world.countersOf(nth, this.known);
    const name = on.map(nameOf).join();
    const set = this.sets.get(name) ?? this.sets.size + 1;
    this.sets.set(name, set);
    return { on, set, keyId: this.world.keys[nth]?.id ?? expect.fail("no key") };
  }

  async acquire(): Promise<void> {
    if (!this.isOpen) return this.random.chance(0.5) ? this.open() : this.acquireInVain();
    const { on, set } = this.lineage();
    const { wire, random, world } = this;
    const sentAtMs = performance.now();
    const counters = on.map((counter) => {
      const { id: bindingId, dimension } = counter;
      const few = BigInt(1 + random.int(3));
      if (dimension === MONEY || dimension === CONCURRENT) {
        const { granted, returned } = this.slice(counter);
        const [needed, wanted] = dimension === MONEY ? [random.amount(12), random.amount(30)] : [few * 5n, few * 5n];
        return { bindingId, dimension, granted, returned, needed, wanted, doubt: dimension === MONEY ? needed : 0n };
      }
      const over = this.slicesOf(counter).splice(0);
      const rateReturns = over.map(({ amount, countedAt }) => ({ amount, countedAt }));
      for (const { amount } of over) world.count(counter, -amount);
      return { bindingId, dimension, needed: dimension === TOKENS ? few * 20n : few, wanted: few * 10n, rateReturns };
    });
    const isLost = random.chance(0.2);
    const { state, grants } = await wire.acquire({ namespaceId: world.namespaceId, limitSet: set, counters });
    for (const [index, { rate }] of (grants[0]?.counters ?? []).entries()) {
      const counter = on[index];
      if (counter !== undefined && rate !== undefined) world.count(counter, rate.amount);
    }
    if (isLost || wire !== this.wire) return;
    if (state !== SessionState.OPEN) this.isOpen = false;
    if (grants[0]?.granted === true) this.granted.add(set);
    for (const [index, { granted, doubt, rate }] of (grants[0]?.counters ?? []).entries()) {
      const counter = on[index];
      if (counter === undefined) continue;
      if (rate?.countedAt !== undefined)
        this.slicesOf(counter).push({ ...rate, countedAt: rate.countedAt, endsAtMs: sentAtMs + rate.validMs });
      if (counter.dimension !== MONEY && counter.dimension !== CONCURRENT) continue;
      const slice = this.slice(counter);
      slice.granted = larger(slice.granted, granted);
      slice.doubt = larger(slice.doubt, doubt);
    }
  }

  /** Asks as a process that was suspended does when it resumes after its session's end. */
  async acquireInVain(): Promise<void> {
    if (!this.isLost) return;
    const on = this.world.countersOf(0, this.known).filter(({ dimension }) => dimension === MONEY);
    const counters = on.map((counter) => {
      const { granted, returned } = this.slice(counter);
      return { bindingId: counter.id, dimension: MONEY, granted, returned, needed: 1n };
    });
    const { state, grants } = await this.wire.acquire({ namespaceId: this.world.namespaceId, limitSet: 0, counters });
    expect(state).not.toBe(SessionState.OPEN);
    expect(grants.filter(({ granted }) => granted)).toEqual([]);
  }

  /** A call that was overtaken comes late. */
  async repeatLate(): Promise<void> {
    if (this.isOpen) await this.late?.();
  }

  own(): readonly Request[] {
    return this.world.requests.filter(({ sessionId }) => sessionId === this.wire.sessionId);
  }

  inDoubt({ id }: Counted): bigint {
    return this.own()
      .filter(({ published, on }) => published === "nothing" && on.some((each) => each.id === id))
      .reduce((sum, { bound }) => sum + bound, 0n);
  }

  admit(): void {
    if (!this.isOpen) return;
    const { on, set, keyId } = this.lineage();
    const [bound, tokensMax] = [this.random.amount(8), BigInt(this.random.int(25))];
    const isPublished = this.random.chance(0.7);
    const slicesBy = (counter: Counted, amount: bigint) =>
      this.slicesOf(counter).find((slice) => slice.amount >= amount && performance.now() < slice.endsAtMs);
    const fits = on.every((counter) => {
      const { dimension } = counter;
      if (dimension === REQUESTS) return slicesBy(counter, 1n) !== undefined;
      if (dimension === TOKENS) return slicesBy(counter, tokensMax) !== undefined;
      if (dimension === CONCURRENT) return freeOf(this.slice(counter)) >= 1n;
      const slice = this.slice(counter);
      return freeOf(slice) >= bound && (isPublished || this.inDoubt(counter) + bound <= slice.doubt);
    });
    if (!this.granted.has(set) || !fits) return;
    const times: Timestamp[] = [];
    for (const counter of on) {
      const { dimension } = counter;
      if (dimension === MONEY) this.slice(counter).running += bound;
      else if (dimension === CONCURRENT) this.slice(counter).running += 1n;
      else {
        const amount = dimension === REQUESTS ? 1n : tokensMax;
        const slice = slicesBy(counter, amount) ?? expect.fail("it fits");
        slice.amount -= amount;
        times.push(slice.countedAt);
      }
    }
    const [countedAt] = times.toSorted((a, b) => timestampMs(a) - timestampMs(b));
    const request: Request = {
      keyId,
      requestId: newId("req"),
      sessionId: this.wire.sessionId,
      limitSet: set,
      on,
      bound,
      tokensMax,
      countedAt,
      end: undefined,
      published: "nothing",
      isReported: false,
    };
    this.world.requests.push(request);
    if (isPublished) publish(this.world, request);
  }

  /** Ends requests that run, and has the log told of some that have ended. */
  finish(): void {
    for (const request of this.own()) {
      const { bound, tokensMax, on } = request;
      if (request.end === undefined && this.random.chance(0.4)) {
        request.end = endOf(this.random, bound, tokensMax);
        for (const each of on) if (each.dimension === CONCURRENT) this.slice(each).running -= 1n;
      }
      if (request.end === undefined || request.published === "settled" || this.random.chance(0.4)) continue;
      publish(this.world, request);
      const { cost } = request.end;
      for (const each of on) {
        if (each.dimension !== MONEY) continue;
        const slice = this.slice(each);
        slice.running -= bound;
        slice.used += lesser(cost, bound);
      }
    }
  }

  /** Reports what has ended, of earlier sessions too. */
  async report(all = false): Promise<void> {
    const { random, world } = this;
    const chosen = world.requests.filter(
      ({ end, isReported, published, sessionId }) =>
        end !== undefined &&
        !isReported &&
        (sessionId === undefined || published === "settled") &&
        (all || random.chance(sessionId === this.wire.sessionId ? 0.7 : 0.2)),
    );
    if (chosen.length === 0) return;
    const reports = chosen.map((request) => reportOf(world.namespaceId, request));
    const { sessions } = random.pick(processes);
    const copies = random.chance(0.2) ? 2 : 1;
    const isLost = !all && random.chance(0.2);
    const answers = await Promise.all(Array.from({ length: copies }, () => sessions.reportSettlements({ reports })));
    for (const { outcomes } of answers) expect(outcomes).toEqual(chosen.map(() => ReportOutcome.DONE));
    if (!isLost) for (const request of chosen) request.isReported = true;
  }

  async giveBack(): Promise<void> {
    if (!this.isOpen) return;
    const { random, world } = this;
    const counters = [...this.world.countersOf(0, this.known)]
      .filter(() => random.chance(0.7))
      .map((counter) => {
        const { id: bindingId, dimension } = counter;
        if (dimension === MONEY || dimension === CONCURRENT) {
          const slice = this.slice(counter);
          slice.returned += larger(freeOf(slice), 0n);
          return { bindingId, dimension, granted: slice.granted, returned: slice.returned };
        }
        const unused = this.slicesOf(counter).splice(0);
        for (const { amount } of unused) world.count(counter, -amount);
        return { bindingId, dimension, rateReturns: unused.map(({ amount, countedAt }) => ({ amount, countedAt })) };
      });
    if (counters.length === 0) return;
    const { wire } = this;
    const { namespaceId } = world;
    await wire.acquire({ namespaceId, limitSet: 0, counters });
    const sums = counters.flatMap((counter) => ("granted" in counter ? [counter] : []));
    if (sums.length > 0) this.late ??= () => wire.acquire({ namespaceId, limitSet: 0, counters: sums });
  }

  async renew(): Promise<void> {
    if (!this.isOpen) return;
    const { wire } = this;
    const { state } = await wire.renew(++this.renewal, 7n);
    if (wire === this.wire && state !== SessionState.OPEN) this.isOpen = false;
  }

  /** Leaves the session as a rotation does: it is closed once everything is reported. */
  leave(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.old.push(this.wire);
  }

  /** Loses the process: nobody reports what it has not reported, until somebody finds its spool. */
  async lose(): Promise<void> {
    const { wire } = this;
    if (!this.isOpen) return;
    this.isOpen = false;
    this.isLost = true;
    await createSessionStore(policy.database).end(wire.sessionId, this.renewal);
    this.world.lost.set(wire.sessionId, new Map());
  }

  async close(): Promise<void> {
    const done = this.old.find(
      ({ sessionId }) => !this.world.requests.some((each) => each.sessionId === sessionId && !each.isReported),
    );
    if (done === undefined) return;
    this.old.splice(this.old.indexOf(done), 1);
    await done.close();
  }

  async central(): Promise<void> {
    const { random, world } = this;
    const key = random.pick(world.keys);
    const sessionId = this.isOpen && random.chance(0.7) ? this.wire.sessionId : undefined;
    const request = { ...requestOf(world.namespaceId, key.lineage, BigInt(1 + random.int(12))), sessionId };
    const result = await policy.admission.admit(request).catch(() => undefined);
    if (result?.outcome !== "admitted") return;
    const { requestId, keyId } = request;
    const row = await policy.admin.within({}, (tx) =>
      tx.selectFrom("holds").selectAll().where("request_id", "=", requestId).executeTakeFirst(),
    );
    // Without a limit that is enabled there is no reservation.
    if (row === undefined) return;
    const on = [
      ...row.budget_binding_ids.map((id) => ({ id, dimension: MONEY })),
      ...row.rate_binding_ids.flatMap((id) => [REQUESTS, TOKENS, CONCURRENT].map((dimension) => ({ id, dimension }))),
    ];
    for (const each of on) {
      if (each.dimension === REQUESTS) world.count(each, 1n);
      if (each.dimension === TOKENS) world.count(each, row.tokens);
    }
    const names = { keyId, requestId, sessionId: undefined, limitSet: 0, on, countedAt: undefined };
    const amounts = { bound: row.amount_nano, tokensMax: row.tokens };
    const end = endOf(random, row.amount_nano, row.tokens);
    world.requests.push({ ...names, ...amounts, end, published: "nothing", isReported: false });
  }
}

function endOf(random: Random, bound: bigint, tokensMax: bigint): NonNullable<Request["end"]> {
  if (random.chance(0.1)) return { cost: 0n, tokens: 0n, neverSent: true };
  const isOver = random.chance(0.1);
  return {
    cost: isOver ? bound + random.amount(3) : lesser(random.amount(8), bound),
    tokens: isOver ? tokensMax + 5n : lesser(BigInt(random.int(25)), tokensMax),
    neverSent: false,
  };
}

function publish({ log, namespaceId }: World, request: Request): void {
  const { keyId, requestId, sessionId, limitSet, bound: boundNano, tokensMax, countedAt, end } = request;
  if (sessionId === undefined) return;
  request.published = end === undefined ? "admitted" : "settled";
  const isReleased = end?.neverSent === true;
  const logged: SessionRequest = {
    keyId,
    requestId,
    limitSet,
    boundNano,
    tokensMax,
    countedAtMs: countedAt && timestampMs(countedAt),
    end:
      end &&
      (isReleased
        ? { kind: "released", neverSent: true }
        : { kind: "settled", costNano: end.cost, tokens: end.tokens }),
    expiresAt: end === undefined ? new Date(Date.now() + 900_000) : undefined,
  };
  log.publish(namespaceId, sessionId, logged);
}

function reportOf(namespaceId: Id<"ns">, request: Request): ReportInit {
  const { keyId, requestId, sessionId = "", limitSet, bound, tokensMax, countedAt, end } = request;
  return {
    namespaceId,
    keyId,
    requestId,
    sessionId,
    limitSet,
    boundNanoUsd: sessionId === "" ? 0n : bound,
    tokensMax: sessionId === "" ? 0n : tokensMax,
    ...(countedAt !== undefined && { countedAt }),
    end:
      end?.neverSent === true
        ? { case: "released", value: { neverSent: true } }
        : { case: "settled", value: { costNanoUsd: end?.cost ?? 0n, tokens: end?.tokens ?? 0n } },
  };
}

interface Counter {
  readonly id: Id<"bnd">;
  readonly limits: Readonly<Record<string, number>>;
  readonly spent: bigint;
  readonly reserved: bigint;
  readonly slots: bigint;
  readonly requests: bigint;
  readonly tokens: bigint;
}

async function read(namespaceId: Id<"ns">) {
  return policy.admin.within({}, async (tx) => {
    const sum = (ring: string) => sql`(select coalesce(sum(each), 0) from unnest(${sql.ref(ring)}[3:]) each)::bigint`;
    const { rows: counters } = await sql<Counter>`
      select b.id, p.spec as limits, c.reserved_nano as reserved, c.open_holds as slots, ${sum("c.spend")} as spent,
        ${sum("c.requests")} as requests, ${sum("c.tokens")} as tokens
      from bindings b join policies p on (p.namespace_id, p.id) = (b.namespace_id, b.policy_id)
      join counters c on (c.namespace_id, c.binding_id) = (b.namespace_id, b.id)
      where b.namespace_id = ${namespaceId}`.execute(tx);
    const slices = await tx.selectFrom("slices").selectAll().where("namespace_id", "=", namespaceId).execute();
    const holds = await tx.selectFrom("holds").selectAll().where("namespace_id", "=", namespaceId).execute();
    return { counters, slices, holds };
  });
}

type Reading = Awaited<ReturnType<typeof read>>;

const total = <T>(all: readonly T[], amountOf: (each: T) => bigint): bigint =>
  all.reduce((sum, each) => sum + amountOf(each), 0n);

/** Steps that a row may take: each charge is made once, and an end that nobody saw is corrected once. */
const NEXT: Readonly<Record<string, readonly string[]>> = {
  open: ["settled", "voided", "expired"],
  expired: ["settled"],
  settled: [],
  voided: [],
};

function checkRows({ rows }: World, { holds }: Reading): void {
  for (const { request_id: id, state, cost_nano: cost } of holds) {
    const before = rows.get(id);
    if (before?.state === state) expect(cost, `cost of ${id}`).toBe(before.cost);
    else if (before !== undefined) expect(NEXT[before.state], `${id} is ${state}`).toContain(state);
    rows.set(id, { state, cost });
  }
}

function checkSums({ sums, lost }: World, { slices }: Reading): void {
  for (const { session_id, binding_id, dimension, granted, returned, used, doubt, held_back } of slices) {
    const name = `${session_id} ${binding_id} ${dimension}`;
    const told = [granted, returned, used, doubt];
    const before = sums.get(name) ?? told;
    expect(
      told.every((sum, index) => sum >= (before[index] ?? 0n)),
      `${name}: ${before.join()} then ${told.join()}`,
    ).toBe(true);
    sums.set(name, told);
    if (!lost.has(session_id) || dimension !== "money") continue;
    // What comes late takes what is set aside for it, and counts nothing beside it.
    const kept = used + larger(granted - returned - used, 0n) + held_back;
    expect(kept <= (lost.get(session_id)?.get(binding_id) ?? kept), `${name} after its loss: ${kept}`).toBe(true);
    lost.get(session_id)?.set(binding_id, kept);
  }
}

/** Invariant 1: what is counted is what really is, and no more than the limit, but for edits and for bills beyond a bound. */
function checkCounters(world: World, { counters, slices, holds }: Reading, isEdited: boolean): void {
  const isOneBucket = Math.floor(world.startedAtMs / BUCKET_MS) === Math.floor((Date.now() + 1_000) / BUCKET_MS);
  const byId = new Map(world.requests.map((request) => [request.requestId as string, request]));
  for (const { id, limits, spent, reserved, slots, requests, tokens } of counters) {
    const ofBudget = holds.filter((row) => row.budget_binding_ids.includes(id));
    const open = total(ofBudget, (row) => (row.state === "open" ? row.amount_nano : 0n));
    const charged = total(ofBudget, ({ state, cost_nano, amount_nano }) =>
      state === "settled" ? (cost_nano ?? 0n) : state === "expired" ? amount_nano : 0n,
    );
    const setAside = (dimension: string) =>
      total(slices, (row) => {
        if (row.binding_id !== id || row.dimension !== dimension) return 0n;
        return larger(row.granted - row.returned - row.used, 0n) + row.held_back;
      });
    expect([reserved, spent], `money of ${id}`).toEqual([open + setAside("money"), charged]);
    const ofRate = holds.filter((row) => row.rate_binding_ids.includes(id));
    const running = total(ofRate, ({ state }) => (state === "open" ? 1n : 0n));
    expect(slots, `slots of ${id}`).toBe(running + setAside("concurrent"));
    const on = holds.filter((row) => byId.get(row.request_id)?.on.some((each) => each.id === id));
    const unused = total(on, ({ request_id, state, tokens: tokensMax }) => {
      if (state === "voided") return tokensMax;
      return state === "settled" ? tokensMax - (byId.get(request_id)?.end?.tokens ?? 0n) : 0n;
    });
    const unsent = total(on, ({ request_id, state }) =>
      state === "voided" && byId.get(request_id)?.end?.neverSent === true ? 1n : 0n,
    );
    const counted = (dimension: Dimension) => world.counted.get(nameOf({ id, dimension })) ?? 0n;
    const due = [counted(REQUESTS) - unsent, counted(TOKENS) - unused];
    if ("max_requests" in limits) {
      if (isOneBucket) expect([requests, tokens], `rates of ${id}`).toEqual(due);
      expect(requests >= (due[0] ?? 0n) && tokens >= (due[1] ?? 0n), `rates of ${id}`).toBe(true);
    }
    const mine = on.flatMap(({ request_id, state }) => (state === "settled" ? (byId.get(request_id) ?? []) : []));
    const beyond = {
      money: total(mine, ({ end, bound }) => larger((end?.cost ?? 0n) - bound, 0n)),
      tokens: total(mine, ({ end, tokensMax }) => larger((end?.tokens ?? 0n) - tokensMax, 0n)),
    };
    const used: Readonly<Record<string, readonly [bigint, bigint]>> =
      "limit_micro_usd" in limits
        ? { limit_micro_usd: [spent + reserved, beyond.money] }
        : { max_requests: [requests, 0n], max_tokens: [tokens, beyond.tokens], max_concurrent: [slots, 0n] };
    for (const [rule, [amount, over]] of Object.entries(used)) {
      const limit = BigInt(limits[rule] ?? 0) * (rule === "limit_micro_usd" ? 1_000n : 1n);
      const name = `${id} ${rule}`;
      if (isEdited) world.ceilings.set(name, larger(limit, amount));
      else if (amount <= limit) world.ceilings.set(name, limit);
      const ceiling = (world.ceilings.get(name) ?? limit) + over;
      expect(amount <= ceiling, `${name}: ${amount} of ${limit}, at most ${ceiling}`).toBe(true);
    }
  }
}

/** Invariant 2: what a gateway can use, runs and has not reported is set aside for it. */
function checkGateways(world: World, gateways: readonly Gateway[], { slices, holds }: Reading): void {
  const applied = new Set<string>(holds.map((row) => row.request_id));
  for (const { wire, isOpen, standing } of gateways) {
    if (!isOpen) continue;
    for (const { session_id, binding_id: id, dimension, granted, returned, used } of slices) {
      if (session_id !== wire.sessionId) continue;
      const counter = { id, dimension: dimension === "money" ? MONEY : CONCURRENT };
      const slice = standing.get(nameOf(counter));
      if (slice === undefined) continue;
      const unapplied = world.requests.filter(
        ({ sessionId, requestId, on }) =>
          sessionId === wire.sessionId && on.some((each) => each.id === id) && !applied.has(requestId),
      );
      const needs =
        dimension === "money"
          ? total(unapplied, ({ end, bound }) => lesser(end?.cost ?? bound, bound))
          : total(unapplied, ({ end }) => (end === undefined ? 1n : 0n));
      expect(freeOf(slice) + needs <= granted - returned - used, `${dimension} of ${id}`).toBe(true);
    }
  }
}

async function run(seed: number): Promise<number> {
  const random = prng(seed);
  const world = await newWorld(random);
  const { database } = policy;
  const endings = createEndings({
    endings: createEndingStore(database),
    sessions: createSessionStore(database),
    slices: createSliceStore(database),
    reports: createReportStore(database),
    log: world.log,
    onUnaccounted: () => {},
    onFault: ({ cause }) => expect.fail(cause.message),
    // Nothing that is held back is free before the end of the test.
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
  /** Somebody finds the spool of a process that was lost: what it had not sent comes late. */
  const findSpools = (): void => {
    const open = new Set(gateways.flatMap(({ isOpen, wire }) => (isOpen ? [wire.sessionId] : [])));
    for (const request of world.requests) {
      if (request.sessionId === undefined || open.has(request.sessionId) || random.chance(0.6)) continue;
      request.end ??= endOf(random, request.bound, request.tokensMax);
      if (request.published !== "settled") publish(world, request);
    }
  };
  let calls = 0;
  const check = async (isEdited: boolean): Promise<void> => {
    const reading = await read(world.namespaceId);
    checkRows(world, reading);
    checkSums(world, reading);
    checkCounters(world, reading, isEdited);
    checkGateways(world, gateways, reading);
  };
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
    await check(isEdited);
  }
  // In the end everything is reported or in the log, and every session is closed.
  for (const request of world.requests) request.end ??= endOf(random, request.bound, request.tokensMax);
  for (const request of world.requests) if (request.published !== "settled") publish(world, request);
  for (const gateway of gateways) gateway.leave();
  await gateways[0]?.report(true);
  world.log.consume(Infinity);
  for (let round = 0; round < 3; round++) await endings.run();
  await endings.sweepNow();
  await check(false);
  for (const gateway of gateways) while (gateway.old.length > 0) await gateway.close();
  for (let round = 0; round < 8; round++) {
    await policy.tamper(sql`update gateway_sessions set settled_at = settled_at - interval '2 days'`);
    await endings.run();
  }
  const { counters, holds } = await read(world.namespaceId);
  // One that was never sent, and was charged in full because nobody said so in time, stays charged.
  const expired = new Set<string>(holds.flatMap((row) => (row.state === "expired" ? [row.request_id] : [])));
  for (const { id, spent, reserved, slots } of counters) {
    const due = total(
      world.requests.filter(({ on }) => on.some((each) => each.id === id && each.dimension === MONEY)),
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
