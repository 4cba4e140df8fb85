import { EMPTY_COUNTER } from "@routeplane/admission";
import { microToNano as nano, type Id, newId } from "@routeplane/domain";
import type { RateLimitSpec } from "@routeplane/policy-spec";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fromCounterRow } from "../src/store/counters.ts";
import { type PolicyUnderTest, requestOf, startPolicyUnderTest, used } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

/** Namespace with a key and a rate limit on it. */
async function limited(maxima: Omit<RateLimitSpec, "windowSecs">, mode: "enforce" | "shadow" = "enforce") {
  const namespaceId = newId("ns");
  const key = policy.key(namespaceId);
  const spec = { kind: "rate_limit", windowSecs: 3_600, ...maxima } as const;
  const made = await policy.bound(namespaceId, spec, key.id, mode);
  const request = (tokens = 10n) => requestOf(namespaceId, key.lineage, tokens);
  return { namespaceId, key, ...made, request, counter: () => counterOf(made.binding.id) };
}

async function counterOf(bindingId: Id<"bnd">) {
  const row = await policy.admin.within({}, (tx) =>
    tx.selectFrom("counters").selectAll().where("binding_id", "=", bindingId).executeTakeFirstOrThrow(),
  );
  const { requests, tokens, ...counter } = fromCounterRow(row);
  const sum = (ring = requests) => ring?.amounts.reduce((total, each) => total + each, 0n) ?? 0n;
  return { ...counter, requests: sum(requests), tokens: sum(tokens) };
}

const admit = (request: ReturnType<typeof requestOf>) => policy.admission.admit(request);
const ONE_RESERVATION = { openReservations: 1n, requests: 1n, tokens: 10n };

describe("a rate limit on requests", () => {
  it("admits up to its maximum, then denies with policy, rule and the time of the next admission", async () => {
    const { request, policy: made, binding, key, counter } = await limited({ maxRequests: 2n });
    for (const remaining of [1n, 0n]) {
      expect(await admit(request())).toMatchObject({
        outcome: "admitted",
        tightest: { requests: { limit: 2n, remaining } },
      });
    }
    const denied = await admit(request());
    expect(denied).toMatchObject({
      outcome: "denied",
      rule: "rate_limit.max_requests",
      binding: { policyId: made.id, bindingId: binding.id, principal: { type: "api_key", id: key.id } },
      limit: 2n,
      remaining: 0n,
      message: `rate limit "${made.name}" (2 requests in 3600 s) has no request left`,
    });
    const waitMs = (denied.outcome === "denied" ? (denied.retryAtMs ?? 0) : 0) - Date.now();
    expect(waitMs).toBeGreaterThan(3_600_000 - 10_000);
    expect(waitMs).toBeLessThanOrEqual(3_636_000);
    expect(await counter()).toMatchObject({ requests: 2n, openReservations: 2n });
  });

  it("counts per binding: siblings do not affect each other, and a parent's is shared by all keys below", async () => {
    const namespaceId = newId("ns");
    const parent = policy.key(namespaceId);
    const [left, right] = [policy.key(namespaceId, parent), policy.key(namespaceId, parent)];
    await policy.bound(namespaceId, { kind: "rate_limit", windowSecs: 60, maxRequests: 3n }, parent.id);
    await policy.bound(namespaceId, { kind: "rate_limit", windowSecs: 60, maxRequests: 1n }, left.id);
    const outcomes = [];
    for (const key of [left, left, right, right, right]) {
      outcomes.push((await admit(requestOf(namespaceId, key.lineage, 1n))).outcome);
    }
    expect(outcomes).toEqual(["admitted", "denied", "admitted", "admitted", "denied"]);
  });

  it("a denial uses up nothing: no budget above, no other limit, no slot", async () => {
    const { request, namespaceId, key, counter } = await limited({ maxRequests: 1n, maxTokens: 1_000n });
    const { binding } = await policy.budget(namespaceId, 1_000n);
    const wide = { kind: "rate_limit", windowSecs: 60, maxRequests: 90n, maxConcurrent: 90n } as const;
    const other = await policy.bound(namespaceId, wide, key.id);
    await admit(request());
    const state = async () => [await counter(), await counterOf(binding.id), await counterOf(other.binding.id)];
    const before = await state();
    for (let n = 0; n < 5; n += 1) expect((await admit(request())).outcome).toBe("denied");
    expect(await state()).toEqual(before);
  });
});

describe("a rate limit on tokens", () => {
  it("counts the bound from admission on and the usage from settlement on, and lowers the output bound to what remains", async () => {
    const { request, counter } = await limited({ maxTokens: 100n });
    const first = request(60n);
    await admit(first);
    expect(await admit(request(60n))).toMatchObject({ outputTokensMax: 40n });
    expect(await admit(request(60n))).toMatchObject({ rule: "rate_limit.max_tokens", limit: 100n, remaining: 0n });
    await policy.admission.settle(first, used(0n, 25n));
    expect(await counter()).toMatchObject({ tokens: 65n, openReservations: 1n, requests: 2n });
    expect(await admit(request(60n))).toMatchObject({ outputTokensMax: 35n });
  });

  it("counts an overrun in full, and an expired reservation as bounded until a late settlement corrects it", async () => {
    const { request, counter, namespaceId } = await limited({ maxTokens: 100n });
    const [over, late] = [request(30n), request(30n)];
    for (const each of [over, late]) await admit(each);
    await policy.admission.settle(over, used(0n, 65n));
    await makeOverdue(namespaceId);
    expect(await admit(request(10n))).toMatchObject({ outputTokensMax: 5n });
    expect(await counter()).toMatchObject({ tokens: 100n, openReservations: 1n });
    await policy.admission.settle(late, used(0n, 1n));
    expect(await counter()).toMatchObject({ tokens: 71n, openReservations: 1n });
  });
});

describe("a rate limit on requests at the same time", () => {
  it("frees its slot after a settlement, a release and an expiry, once each", async () => {
    const { request, counter, namespaceId } = await limited({ maxConcurrent: 1n });
    const ends = [
      (each: ReturnType<typeof request>) => policy.admission.settle(each, used(0n, 1n)),
      (each: ReturnType<typeof request>) => policy.admission.void(each, false),
      () => makeOverdue(namespaceId),
    ];
    for (const end of ends) {
      const admitted = request();
      expect(await admit(admitted)).toMatchObject({ outcome: "admitted" });
      expect(await admit(request())).toMatchObject({ rule: "rate_limit.max_concurrent", limit: 1n, remaining: 0n });
      await end(admitted);
      await end(admitted);
    }
    expect(await admit(request())).toMatchObject({ outcome: "admitted" });
    expect(await counter()).toMatchObject({ openReservations: 1n });
  });
});

describe("a release", () => {
  it("gives back everything except the counted request, and that too if it was never sent", async () => {
    const { request, counter } = await limited({ maxRequests: 9n, maxTokens: 1_000n });
    const [sent, unsent, open] = [request(), request(), request()];
    for (const each of [sent, unsent, open]) await admit(each);
    await policy.admission.void(unsent, true);
    await policy.admission.void(sent, false);
    expect(await counter()).toMatchObject({ ...ONE_RESERVATION, requests: 2n });
  });
});

describe("a preset", () => {
  it("reserves on both of its limits in one counter, or on neither", async () => {
    const namespaceId = newId("ns");
    const key = policy.key(namespaceId);
    const budget = { window: "day", limitMicroUsd: 25n } as const;
    const rateLimit = { windowSecs: 60, maxRequests: 3n } as const;
    const { binding } = await policy.bound(namespaceId, { kind: "preset", budget, rateLimit });
    const request = (micro: bigint) => requestOf(namespaceId, key.lineage, micro);
    for (const micro of [10n, 10n]) await admit(request(micro));
    expect(await admit({ ...request(10n), choices: 6n })).toMatchObject({ outcome: "denied", rule: "budget" });
    expect(await counterOf(binding.id)).toMatchObject({ reservedNano: nano(20n), requests: 2n, tokens: 20n });
    expect(await admit(request(10n))).toMatchObject({ outputTokensMax: 5n });
    expect(await admit(request(10n))).toMatchObject({ outcome: "denied" });
  });

  it("of a guardrail alone limits nothing here", async () => {
    const namespaceId = newId("ns");
    const key = policy.key(namespaceId);
    const { binding } = await policy.bound(namespaceId, { kind: "preset", guardrail: { allowStreaming: false } });
    expect(await admit(requestOf(namespaceId, key.lineage, 5n))).toMatchObject({ expiresAt: undefined });
    expect(await counterOf(binding.id)).toEqual({ ...EMPTY_COUNTER, requests: 0n, tokens: 0n });
  });
});

describe("a binding in shadow mode", () => {
  it("denies and lowers nothing, reports what it would have denied, and counts what it would have admitted", async () => {
    const { request, policy: made, binding, counter } = await limited({ maxRequests: 1n, maxTokens: 5n }, "shadow");
    const first = await admit(request(4n));
    expect(first).toMatchObject({
      outcome: "admitted",
      outputTokensMax: 4n,
      shadowDenials: [],
      tightest: { tokens: undefined },
    });
    const second = await admit(request(40n));
    const denial = { rule: "rate_limit.max_requests", binding: { policyId: made.id, bindingId: binding.id } };
    expect(second).toMatchObject({ outcome: "admitted", outputTokensMax: 40n, shadowDenials: [denial] });
    expect(await counter()).toMatchObject({ requests: 1n, tokens: 4n });
  });
});

describe("a reservation", () => {
  it("is separate for two keys with the same request id", async () => {
    const { namespaceId, request, counter } = await limited({ maxRequests: 9n });
    const first = request();
    const other = policy.key(namespaceId);
    const { binding } = await policy.budget(namespaceId, 100n, other.id);
    const second = { ...requestOf(namespaceId, other.lineage, 30n), requestId: first.requestId };
    await admit(first);
    await admit(second);
    await policy.admission.void(second, true);
    expect(await counter()).toMatchObject(ONE_RESERVATION);
    expect(await counterOf(binding.id)).toMatchObject({ reservedNano: 0n });
  });

  it("without a key, as an earlier version wrote it, is settled by the request id alone", async () => {
    const { request, total, namespaceId } = await policy.oneBudget(100n);
    const admitted = request(40n);
    await admit(admitted);
    await policy.tamper(sql`update holds set key_id = '' where namespace_id = ${namespaceId}`);
    expect(await admit(admitted)).toMatchObject({ outcome: "admitted", outputTokensMax: 40n });
    await policy.admission.settle(admitted, used(nano(15n)));
    expect(await total()).toMatchObject({ spentNano: nano(15n), reservedNano: 0n });
  });

  it("on a limit that was unbound skips it, and settles on the others", async () => {
    const { request, total, namespaceId, key } = await policy.oneBudget(100n);
    const gone = await policy.bound(namespaceId, { kind: "rate_limit", windowSecs: 60, maxConcurrent: 5n }, key.id);
    const [settled, voided, expired] = [request(10n), request(10n), request(10n)];
    for (const each of [settled, voided, expired]) await admit(each);
    await policy.tamper(sql`delete from bindings where id = ${gone.binding.id}`);
    await policy.admission.settle(settled, used(nano(7n)));
    await policy.admission.void(voided, true);
    await makeOverdue(namespaceId);
    await admit(request(0n));
    expect(await total()).toMatchObject({ spentNano: nano(17n), reservedNano: 0n });
  });
});

describe("a change of policies while an admission waits", () => {
  it("that removes a binding admits without it rather than failing", async () => {
    const { request, namespaceId, binding } = await policy.oneBudget(100n);
    const waiting = Promise.withResolvers<unknown>();
    await policy.admin.within({}, async (tx) => {
      await sql`select from counters where binding_id = ${binding.id} for update`.execute(tx);
      waiting.resolve(policy.admission.admit(request(70n)).catch((error: unknown) => error));
      await isWaitedFor();
      await sql`delete from bindings where id = ${binding.id}`.execute(tx);
    });
    expect(await waiting.promise).toMatchObject({ outcome: "admitted", expiresAt: undefined });
    expect((await policy.totals(namespaceId)).size).toBe(0);
  });
});

describe("an edited window", () => {
  it("keeps its consumption, and counts later costs", async () => {
    const { request, budget, total, namespaceId } = await policy.oneBudget(100n, "hour");
    const admitted = request(60n);
    await admit(admitted);
    await policy.admission.settle(admitted, used(nano(60n)));
    const open = request(30n);
    await admit(open);
    await edit(budget.id, { window: "month", limit_micro_usd: 100 });
    expect(await admit(request(60n))).toMatchObject({ outputTokensMax: 10n });
    await policy.admission.settle(open, used(nano(25n)));
    expect(await total()).toMatchObject({ spentNano: nano(85n) });
    await edit(budget.id, { window: "hour", limit_micro_usd: 90 });
    expect(await admit(request(60n))).toMatchObject({ outcome: "denied", remaining: 0n });
    expect((await policy.totals(namespaceId)).size).toBe(1);
  });
});

async function edit(policyId: Id<"pol">, spec: object): Promise<void> {
  await policy.tamper(sql`update policies set spec = ${JSON.stringify(spec)}::jsonb where id = ${policyId}`);
}

async function makeOverdue(namespaceId: Id<"ns">): Promise<void> {
  await policy.tamper(sql`update holds set expires_at = clock_timestamp() - interval '1 second'
    where namespace_id = ${namespaceId} and state = 'open'`);
}

/** Resolves once a transaction waits for a lock. */
async function isWaitedFor(): Promise<void> {
  for (;;) {
    const { rows } = await policy.admin.within({}, (tx) =>
      sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(tx),
    );
    if (rows.length > 0) return;
  }
}
