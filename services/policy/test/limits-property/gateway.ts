import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Dimension, ReportOutcome, SessionState } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { expect } from "vitest";
import { createSessionStore } from "../../src/store/session-store.ts";
import { openGateway } from "../gateway-under-test.ts";
import { requestOf } from "../policy-under-test.ts";
import { larger, lesser, type Random } from "../random.ts";
import { type Counted, endOf, nameOf, publish, type Request, reportOf } from "./requests.ts";
import type { World } from "./world.ts";

const { MONEY, REQUESTS, TOKENS, CONCURRENT } = Dimension;

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

/** Amount that the gateway may still give to requests. */
export const freeOf = ({ granted, returned, used, running }: Standing): bigint => granted - returned - used - running;

/** Gateway that takes random steps, and what it knows of its slices. Some of its calls are lost, repeated or overtaken. */
export class Gateway {
  readonly world: World;
  readonly random: Random;
  wire: ReturnType<typeof openGateway>;
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
    this.wire = openGateway(world.processes[0]?.sessions ?? expect.fail("no process"));
  }

  async open(): Promise<void> {
    this.wire = openGateway(this.random.pick(this.world.processes).sessions);
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

  /** Makes the calls of a suspended process that resumes after its session's end. */
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

  /** A delayed call arrives after later ones. */
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
    if (isPublished) publish(this.world.log, this.world.namespaceId, request);
  }

  /** Ends running requests, and sends the end of some of them to the log. */
  finish(): void {
    for (const request of this.own()) {
      const { bound, tokensMax, on } = request;
      if (request.end === undefined && this.random.chance(0.4)) {
        request.end = endOf(this.random, bound, tokensMax);
        for (const each of on) if (each.dimension === CONCURRENT) this.slice(each).running -= 1n;
      }
      if (request.end === undefined || request.published === "settled" || this.random.chance(0.4)) continue;
      publish(this.world.log, this.world.namespaceId, request);
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
    const { sessions } = random.pick(world.processes);
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

  /** Loses the process: what it has not reported stays unreported until its spool is found. */
  async lose(): Promise<void> {
    const { wire } = this;
    if (!this.isOpen) return;
    this.isOpen = false;
    this.isLost = true;
    await createSessionStore(this.world.policy.database).end(wire.sessionId, this.renewal);
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
    const result = await world.policy.admission.admit(request).catch(() => undefined);
    if (result?.outcome !== "admitted") return;
    const { requestId, keyId } = request;
    const row = await world.policy.admin.within({}, (tx) =>
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
