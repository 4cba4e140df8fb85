import { Dimension } from "@routeplane/contracts/policy";
import type { Id } from "@routeplane/domain";
import { sql } from "kysely";
import { expect } from "vitest";
import { larger, lesser } from "../random.ts";
import { freeOf, type Gateway } from "./gateway.ts";
import { nameOf } from "./requests.ts";
import { BUCKET_MS, type World } from "./world.ts";

const { MONEY, REQUESTS, TOKENS, CONCURRENT } = Dimension;

interface Counter {
  readonly id: Id<"bnd">;
  readonly limits: Readonly<Record<string, number>>;
  readonly spent: bigint;
  readonly reserved: bigint;
  readonly slots: bigint;
  readonly requests: bigint;
  readonly tokens: bigint;
}

/** Reads what the database says of the namespace. */
export async function read({ policy, namespaceId }: World) {
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

export const total = <T>(all: readonly T[], amountOf: (each: T) => bigint): bigint =>
  all.reduce((sum, each) => sum + amountOf(each), 0n);

/** Compares the database with what really happened. @param isEdited true if a limit may have changed since the last check */
export async function check(world: World, gateways: readonly Gateway[], isEdited: boolean): Promise<void> {
  const reading = await read(world);
  checkRows(world, reading);
  checkSums(world, reading);
  checkCounters(world, reading, isEdited);
  checkGateways(world, gateways, reading);
}

/** Allowed state changes of a row: each charge is made once, and an unknown end is corrected once. */
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
    // A late charge uses the amount set aside for it, and counts nothing in addition.
    const kept = used + larger(granted - returned - used, 0n) + held_back;
    expect(kept <= (lost.get(session_id)?.get(binding_id) ?? kept), `${name} after its loss: ${kept}`).toBe(true);
    lost.get(session_id)?.set(binding_id, kept);
  }
}

/** Invariant 1: counted amounts are the real ones, and within the limit, except after edits and bills beyond a bound. */
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

/** Invariant 2: amounts that a gateway can use, uses for running requests or has not reported are set aside for it. */
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
