import { Dimension, ReportOutcome, SessionState } from "@routeplane/contracts/policy";
import { type Id, newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openGateway, type ReportInit } from "./gateway-under-test.ts";
import { type PolicyUnderTest, requestOf, SERVICE_TOKEN, startPolicyUnderTest } from "./policy-under-test.ts";
import { larger, lesser, prng, type Random } from "./random.ts";

/**
 * Random interleavings of gateways, over two processes of the service, on budgets of a namespace and of two keys: several calls at a time,
 * answers that are lost, calls that are repeated and overtaken. The invariants are checked in the database after every step.
 */
const SEEDS = Number(process.env["ROUTEPLANE_TEST_SEEDS"] ?? 4);
const STEPS = 70;

let policy: PolicyUnderTest;
let processes: readonly ReturnType<PolicyUnderTest["as"]>[];
beforeAll(async () => {
  policy = await startPolicyUnderTest();
  processes = [policy.as(SERVICE_TOKEN), policy.process()];
});
afterAll(() => policy.stop());

interface Request {
  readonly bindingIds: readonly Id<"bnd">[];
  readonly bound: bigint;
  readonly report: ReportInit;
  cost: bigint | undefined;
  /** Answered as known. */
  isReported: boolean;
}

interface LocalSlice {
  granted: bigint;
  returned: bigint;
  used: bigint;
  running: bigint;
}

const freeOf = ({ granted, returned, used, running }: LocalSlice): bigint => granted - returned - used - running;
/** Three budgets, some of which are edited, disabled, unbound and bound again. */
async function newWorld() {
  const namespaceId = newId("ns");
  const [parent] = [policy.key(namespaceId)];
  const keys = [policy.key(namespaceId, parent), policy.key(namespaceId, parent)] as const;
  const principals = [undefined, keys[0].id, keys[1].id] as const;
  const places = await Promise.all(principals.map((id) => policy.budget(namespaceId, 400n, id, "total")));
  return {
    namespaceId,
    keys,
    places,
    /** Amounts by which limits may be exceeded, because they were edited or a provider billed more. */
    ceilings: new Map<Id<"bnd">, bigint>(),
    requests: [] as Request[],
    async edit(place: number, limitMicroUsd: bigint) {
      const at = places[place] ?? expect.fail("no place");
      const spec = JSON.stringify({ window: "total", limit_micro_usd: Number(limitMicroUsd) });
      await policy.tamper(sql`update policies set spec = ${spec}::jsonb where id = ${at.policy.id}`);
    },
    async rebind(place: number) {
      const old = places[place] ?? expect.fail("no place");
      // As the store does: the counter is locked first.
      await policy.tamper(sql`with locked as (select from counters where binding_id = ${old.binding.id} for update)
        delete from bindings where id = ${old.binding.id} and (select count(*) from locked) >= 0`);
      places[place] = await policy.budget(namespaceId, 400n, principals[place], "total");
    },
  };
}

type World = Awaited<ReturnType<typeof newWorld>>;

class Gateway {
  readonly world: World;
  readonly random: Random;
  wire = openGateway(processes[0]?.sessions ?? expect.fail("no process"));
  slices = new Map<Id<"bnd">, LocalSlice>();
  sets = new Map<string, number>();
  granted = new Set<number>();
  known: readonly Id<"bnd">[];
  isOpen = false;
  readonly old: Gateway["wire"][] = [];

  constructor(world: World, random: Random) {
    this.world = world;
    this.random = random;
    this.known = world.places.map(({ binding }) => binding.id);
  }

  async open(): Promise<void> {
    this.wire = openGateway(this.random.pick(processes).sessions);
    this.slices = new Map();
    this.sets = new Map();
    this.granted = new Set();
    this.isOpen = (await this.wire.renew()).state === SessionState.OPEN;
  }

  slice(id: Id<"bnd">): LocalSlice {
    const slice = this.slices.get(id) ?? { granted: 0n, returned: 0n, used: 0n, running: 0n };
    this.slices.set(id, slice);
    return slice;
  }

  lineage(): { readonly bindingIds: readonly Id<"bnd">[]; readonly set: number } {
    const [root, first, second] = this.known;
    const bindingIds = [root, this.random.chance(0.5) ? first : second].flatMap((id) => id ?? []);
    const name = bindingIds.join(" ");
    const set = this.sets.get(name) ?? this.sets.size + 1;
    this.sets.set(name, set);
    return { bindingIds, set };
  }

  async acquire(): Promise<void> {
    if (!this.isOpen) return this.open();
    const { bindingIds, set } = this.lineage();
    const { wire, slices } = this;
    const [needed, wanted] = [this.random.amount(20), this.random.amount(40)];
    const counters = bindingIds.map((bindingId) => {
      const { granted, returned } = this.slice(bindingId);
      return { bindingId, dimension: Dimension.MONEY, granted, returned, needed, wanted, doubt: needed };
    });
    const request = { namespaceId: this.world.namespaceId, limitSet: set, counters };
    const copies = this.random.chance(0.2) ? 2 : 1;
    const isLost = this.random.chance(0.2);
    const answers = await Promise.all(Array.from({ length: copies }, () => wire.acquire(request)));
    if (isLost || wire !== this.wire) return;
    for (const { state, grants } of answers) {
      if (state !== SessionState.OPEN) this.isOpen = false;
      if (grants[0]?.granted === true) this.granted.add(set);
      for (const [index, grant] of (grants[0]?.counters ?? []).entries()) {
        const id = bindingIds[index];
        const slice = id && slices.get(id);
        if (slice) slice.granted = larger(slice.granted, grant.granted);
      }
    }
  }

  admit(): void {
    if (!this.isOpen) return;
    const { bindingIds, set } = this.lineage();
    const bound = this.random.amount(12);
    if (!this.granted.has(set) || !bindingIds.every((id) => freeOf(this.slice(id)) >= bound)) return;
    for (const id of bindingIds) this.slice(id).running += bound;
    const report = this.wire.settled(this.world.namespaceId, bound, 0n, { limitSet: set });
    this.world.requests.push({ bindingIds, bound, report, cost: undefined, isReported: false });
  }

  own(): readonly Request[] {
    return this.world.requests.filter(({ report }) => report.sessionId === this.wire.sessionId);
  }

  finish(): void {
    const running = this.own().filter(({ cost }) => cost === undefined);
    if (running.length === 0) return;
    const request = this.random.pick(running);
    const { bound, bindingIds } = request;
    request.cost = this.random.chance(0.1) ? bound + this.random.amount(3) : lesser(this.random.amount(12), bound);
    for (const id of bindingIds) {
      const slice = this.slice(id);
      slice.running -= bound;
      slice.used += lesser(request.cost, bound);
    }
  }

  async report(all = false): Promise<void> {
    const finished = this.world.requests.filter(
      ({ cost, isReported, report }) =>
        cost !== undefined &&
        !isReported &&
        (all || report.sessionId === this.wire.sessionId || this.random.chance(0.3)),
    );
    const chosen = finished.filter(() => all || this.random.chance(0.7));
    if (chosen.length === 0) return;
    const { sessions } = this.random.pick(processes);
    const reports = chosen.map((request) => settledAt(request));
    const copies = this.random.chance(0.2) ? 2 : 1;
    const isLost = !all && this.random.chance(0.2);
    const answers = await Promise.all(Array.from({ length: copies }, () => sessions.reportSettlements({ reports })));
    expect(answers.flatMap(({ outcomes }) => outcomes)).toEqual(
      answers.flatMap(() => chosen.map(() => ReportOutcome.DONE)),
    );
    if (!isLost) for (const request of chosen) request.isReported = true;
  }

  async giveBack(): Promise<void> {
    if (!this.isOpen) return;
    for (const slice of this.slices.values()) slice.returned += larger(freeOf(slice), 0n);
    const counters = [...this.slices].map(([bindingId, { granted, returned }]) => {
      return { bindingId, dimension: Dimension.MONEY, granted, returned };
    });
    if (counters.length > 0) await this.wire.acquire({ namespaceId: this.world.namespaceId, limitSet: 0, counters });
  }

  /** Leaves the session as a rotation does: it is closed once everything is reported. */
  leave(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.old.push(this.wire);
  }

  async close(): Promise<void> {
    const done = this.old.find(
      (wire) => !this.world.requests.some((each) => each.report.sessionId === wire.sessionId && !each.isReported),
    );
    if (done === undefined) return;
    await done.close();
    this.old.splice(this.old.indexOf(done), 1);
  }

  async central(): Promise<void> {
    const key = this.random.pick(this.world.keys);
    const sessionId = this.isOpen && this.random.chance(0.7) ? this.wire.sessionId : undefined;
    const request = { ...requestOf(this.world.namespaceId, key.lineage, this.random.amount(20) / 1_000n), sessionId };
    const result = await policy.admission.admit(request).catch(() => undefined);
    if (result?.outcome !== "admitted") return;
    const { namespaceId, keyId, requestId } = request;
    const bindings = await policy.admin.within({}, (tx) =>
      tx.selectFrom("holds").select("budget_binding_ids").where("request_id", "=", requestId).executeTakeFirstOrThrow(),
    );
    const names = { namespaceId, keyId, requestId, sessionId: "", limitSet: 0, boundNanoUsd: 0n };
    this.world.requests.push({
      bindingIds: bindings.budget_binding_ids,
      bound: result.reservedNano,
      report: names,
      cost: lesser(this.random.amount(20), result.reservedNano),
      isReported: false,
    });
  }
}

function settledAt({ report, cost = 0n }: Request): ReportInit {
  return { ...report, end: { case: "settled", value: { costNanoUsd: cost, tokens: 0n } } };
}

interface Reading {
  readonly id: Id<"bnd">;
  readonly limit: bigint;
  readonly spent: bigint;
  readonly reserved: bigint;
  readonly central: bigint;
  readonly sliced: bigint;
}

async function readCounters(namespaceId: Id<"ns">): Promise<readonly Reading[]> {
  const { rows } = await policy.admin.within({}, (tx) =>
    sql<Reading>`
      select b.id, (p.spec->>'limit_micro_usd')::bigint * 1000 as limit, c.reserved_nano as reserved,
        (select coalesce(sum(each), 0) from unnest(c.spend[3:]) each) as spent,
        (select coalesce(sum(amount_nano), 0) from holds h where h.namespace_id = b.namespace_id and h.state = 'open'
          and b.id = any(h.budget_binding_ids)) as central,
        (select coalesce(sum(greatest(granted - returned - used, 0) + held_back), 0) from slices s
          where s.namespace_id = b.namespace_id and s.binding_id = b.id) as sliced
      from bindings b join policies p on (p.namespace_id, p.id) = (b.namespace_id, b.policy_id)
      join counters c on (c.namespace_id, c.binding_id) = (b.namespace_id, b.id)
      where b.namespace_id = ${namespaceId}`.execute(tx),
  );
  return rows;
}

/** Invariants 1 and 2, in the database. */
async function check(world: World, gateways: readonly Gateway[], isEdited: boolean): Promise<void> {
  const { namespaceId, ceilings } = world;
  const counters = await readCounters(namespaceId);
  const applied = await policy.admin.within({}, async (tx) => {
    const rows = await tx.selectFrom("holds").select("request_id").where("namespace_id", "=", namespaceId).execute();
    return new Set<string>(rows.map(({ request_id: id }) => id));
  });
  const outstanding = await policy.admin.within({}, (tx) =>
    tx.selectFrom("slices").selectAll().where("namespace_id", "=", namespaceId).execute(),
  );
  for (const { id, limit, spent, reserved, central, sliced } of counters) {
    expect(reserved, `reserved on ${id}`).toBe(central + sliced);
    const overruns = world.requests
      .filter(({ bindingIds, bound, cost = 0n }) => bindingIds.includes(id) && cost > bound)
      .reduce((sum, { bound, cost = 0n }) => sum + cost - bound, 0n);
    const total = spent + reserved;
    if (isEdited) ceilings.set(id, larger(limit, total));
    else if (total <= limit) ceilings.set(id, limit + overruns);
    expect(total <= (ceilings.get(id) ?? limit) + overruns, `${id}: ${total} of ${limit}, ${overruns} over`).toBe(true);
  }
  for (const { wire, slices, isOpen } of gateways) {
    if (!isOpen) continue;
    for (const [id, slice] of slices) {
      const row = outstanding.find((each) => each.session_id === wire.sessionId && each.binding_id === id);
      if (row === undefined) continue;
      const unapplied = world.requests
        .filter(({ report, bindingIds }) => report.sessionId === wire.sessionId && bindingIds.includes(id))
        .filter(({ report }) => !applied.has(report.requestId))
        .reduce((sum, { cost, bound }) => sum + lesser(cost ?? bound, bound), 0n);
      expect(freeOf(slice) + unapplied <= row.granted - row.returned - row.used, `slice of ${id}`).toBe(true);
    }
  }
}

async function run(seed: number): Promise<number> {
  const random = prng(seed);
  const world = await newWorld();
  const gateways = Array.from({ length: 3 }, () => new Gateway(world, random));
  let actions = 0;
  const chaos = [
    (gateway: Gateway) => gateway.acquire(),
    (gateway: Gateway) => gateway.acquire(),
    (gateway: Gateway) => gateway.report(),
    (gateway: Gateway) => gateway.report(),
    (gateway: Gateway) => gateway.giveBack(),
    (gateway: Gateway) => gateway.central(),
    (gateway: Gateway) => gateway.close(),
    async (gateway: Gateway) => gateway.leave(),
  ];
  for (let step = 0; step < STEPS; step++) {
    for (const gateway of gateways)
      for (let turns = random.int(4); turns > 0; turns--) {
        if (random.chance(0.6)) gateway.admit();
        else gateway.finish();
      }
    let isEdited = false;
    if (random.chance(0.08)) {
      isEdited = true;
      if (random.chance(0.5)) await world.edit(random.int(3), BigInt(100 + random.int(500)));
      else await world.rebind(random.int(3));
    }
    if (random.chance(0.3)) random.pick(gateways).known = world.places.map(({ binding }) => binding.id);
    const calls = gateways.flatMap((gateway) => (random.chance(0.7) ? [random.pick(chaos)(gateway)] : []));
    actions += calls.length;
    await Promise.all(calls);
    await check(world, gateways, isEdited);
  }
  for (const gateway of gateways) {
    while (gateway.own().some(({ cost }) => cost === undefined)) gateway.finish();
    gateway.leave();
  }
  for (const request of world.requests) request.cost ??= 0n;
  await gateways[0]?.report(true);
  for (const gateway of gateways) while (gateway.old.length > 0) await gateway.close();
  for (const { id, spent, reserved } of await readCounters(world.namespaceId)) {
    const due = world.requests
      .filter(({ bindingIds }) => bindingIds.includes(id))
      .reduce((sum, { cost = 0n }) => sum + cost, 0n);
    expect([id, spent, reserved]).toEqual([id, due, 0n]);
  }
  return actions;
}

describe("slices, reports and central admissions in any interleaving", () => {
  it(
    "exceed no limit, charge each request once, and leave nothing reserved in the end",
    async () => {
      let actions = 0;
      for (let seed = 1; seed <= SEEDS; seed++)
        actions += await run(seed).catch((error: unknown) => {
          throw new Error(`seed ${seed}`, { cause: error });
        });
      expect(actions).toBeGreaterThan(SEEDS * STEPS);
    },
    120_000 + SEEDS * 10_000,
  );
});
