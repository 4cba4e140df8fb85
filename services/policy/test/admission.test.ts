import { microToNano as nano, newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  RESERVATION_TTL_MS,
  type PolicyUnderTest,
  requestOf,
  startPolicyUnderTest,
  used,
} from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

describe("admission", () => {
  it("reserves nothing if no budget applies", async () => {
    const namespaceId = newId("ns");
    const answer = await policy.admission.admit(requestOf(namespaceId, policy.key(namespaceId).lineage, 500n));
    expect(answer).toMatchObject({
      outcome: "admitted",
      outputTokensMax: 500n,
      reservedNano: 0n,
      expiresAt: undefined,
    });
  });

  it("reserves the highest cost of the request until the reservation expires", async () => {
    const { request, total } = await policy.oneBudget(1_000n);
    const answer = await policy.admission.admit(request(400n));
    if (answer.outcome !== "admitted") return expect.fail("was denied");
    expect(answer).toMatchObject({ outputTokensMax: 400n, reservedNano: nano(400n) });
    expect(Math.abs((answer.expiresAt?.getTime() ?? 0) - Date.now() - RESERVATION_TTL_MS)).toBeLessThan(5_000);
    expect(await total()).toMatchObject({ reservedNano: nano(400n), spentNano: 0n });
  });

  it("lowers the output bound to what is affordable, then denies with the budget and its remaining amount", async () => {
    const { request, budget, binding, namespaceId } = await policy.oneBudget(1_000n);
    await policy.admission.admit(request(700n));
    expect(await policy.admission.admit({ ...request(700n), choices: 7n })).toMatchObject({ outputTokensMax: 294n });
    const denied = await policy.admission.admit({ ...request(700n), choices: 7n });
    expect(denied).toMatchObject({
      outcome: "denied",
      rule: "budget",
      binding: {
        policyId: budget.id,
        policyName: budget.name,
        bindingId: binding.id,
        principal: { type: "namespace", id: namespaceId },
      },
      message: `budget "${budget.name}" (day, 1000 micro-USD) has 6 micro-USD left; the request needs at least 7 micro-USD`,
    });
  });

  it("uses up nothing on a denial", async () => {
    const { request, total, key, namespaceId } = await policy.oneBudget(1_000n);
    await policy.budget(namespaceId, 10n, key.id);
    await policy.admission.admit(request(10n));
    const before = await total();
    expect(await policy.admission.admit(request(10n))).toMatchObject({ outcome: "denied" });
    expect(await total()).toEqual(before);
  });

  it("counts a key's requests on every key above it and on the namespace, never on a sibling", async () => {
    const namespaceId = newId("ns");
    const root = policy.key(namespaceId);
    const child = policy.key(namespaceId, root);
    const grandchild = policy.key(namespaceId, child);
    const sibling = policy.key(namespaceId, root);
    for (const keyId of [undefined, root.id, child.id, grandchild.id]) await policy.budget(namespaceId, 1_000n, keyId);
    const { binding: onSibling } = await policy.budget(namespaceId, 1_000n, sibling.id);
    await policy.admission.admit(requestOf(namespaceId, grandchild.lineage, 70n));
    const totals = await policy.totals(namespaceId);
    expect(totals.size).toBe(5);
    for (const [id, { reservedNano }] of totals) expect(reservedNano).toBe(id === onSibling.id ? 0n : nano(70n));
  });

  it("binds a key that is minted once the limit above it is reached", async () => {
    const { request, key, namespaceId, total } = await policy.oneBudget(100n);
    await policy.budget(namespaceId, 100n, key.id);
    await policy.admission.admit(request(100n));
    const fresh = policy.key(namespaceId, key);
    const answer = await policy.admission.admit(requestOf(namespaceId, fresh.lineage, 1n));
    expect(answer).toMatchObject({ outcome: "denied" });
    expect(await total()).toMatchObject({ reservedNano: nano(100n) });
  });

  it("skips a disabled policy, and fails on one that cannot be read", async () => {
    const { request, budget } = await policy.oneBudget(10n);
    await policy.admission.admit(request(10n));
    await policy.tamper(sql`update policies set disabled_at = now() where id = ${budget.id}`);
    expect(await policy.admission.admit(request(10n))).toMatchObject({ outcome: "admitted", expiresAt: undefined });
    await policy.tamper(sql`update policies set disabled_at = null where id = ${budget.id}`);
    for (const spec of ["{}", '{"window": "day"}', '{"window": "eon", "limit_micro_usd": 9}', "null", '{"limit": 9}']) {
      await policy.tamper(sql`update policies set spec = ${spec}::jsonb where id = ${budget.id}`);
      await expect(policy.admission.admit(request(1n))).rejects.toThrow("cannot be read");
    }
  });

  it("fails if a binding has lost its counter", async () => {
    const { request, binding } = await policy.oneBudget(10n);
    await policy.tamper(sql`delete from counters where binding_id = ${binding.id}`);
    await expect(policy.admission.admit(request(1n))).rejects.toThrow("has no counter");
  });
});

describe("repeated calls", () => {
  it("get the reservation of the request, even if the budget is used up meanwhile", async () => {
    const { request, total } = await policy.oneBudget(100n);
    const once = request(100n);
    const first = await policy.admission.admit(once);
    expect(await policy.admission.admit(once)).toEqual(first);
    expect(await policy.admission.admit({ ...once, outputTokensMax: 5n })).toEqual(first);
    expect(await total()).toMatchObject({ reservedNano: nano(100n) });
  });

  it("settle once and void once; calls after a settlement or a void change nothing", async () => {
    const { request, total } = await policy.oneBudget(1_000n);
    const [settled, voided] = [request(100n), request(100n)];
    await policy.admission.admit(settled);
    await policy.admission.admit(voided);
    await policy.admission.settle(settled, used(nano(30n)));
    await policy.admission.void(voided, true);
    for (const again of [settled, voided]) {
      await policy.admission.settle(again, used(nano(40n)));
      await policy.admission.void(again, true);
    }
    expect(await total()).toMatchObject({ spentNano: nano(30n), reservedNano: 0n });
  });

  it("do not admit a settled or voided request: it would go upstream without a reservation", async () => {
    const { request } = await policy.oneBudget(1_000n);
    const [settled, voided] = [request(100n), request(100n)];
    await policy.admission.admit(settled);
    await policy.admission.settle(settled, used(0n));
    await policy.admission.void(voided, true);
    for (const over of [settled, voided]) {
      await expect(policy.admission.admit(over)).rejects.toMatchObject({ reason: "STATE_CONFLICT" });
    }
  });

  it("settle and void a request that was never admitted without an effect", async () => {
    const { request, total } = await policy.oneBudget(1_000n);
    await policy.admission.settle(request(1n), used(nano(30n)));
    await policy.admission.void(request(1n), true);
    expect(await total()).toMatchObject({ spentNano: 0n, reservedNano: 0n });
  });

  it("of two namespaces with the same request id do not affect each other", async () => {
    const [first, second] = [await policy.oneBudget(1_000n), await policy.oneBudget(1_000n)];
    const request = first.request(100n);
    const same = { ...second.request(70n), requestId: request.requestId };
    await policy.admission.admit(request);
    expect(await policy.admission.admit(same)).toMatchObject({ reservedNano: nano(70n) });
    await policy.admission.settle(request, used(nano(60n)));
    expect(await second.total()).toMatchObject({ reservedNano: nano(70n), spentNano: 0n });
    await policy.admission.void(same, true);
    expect(await first.total()).toMatchObject({ reservedNano: 0n, spentNano: nano(60n) });
  });
});

describe("settlement", () => {
  it("replaces the reservation with the cost on every budget", async () => {
    const { request, namespaceId, key } = await policy.oneBudget(1_000n, "total");
    await policy.budget(namespaceId, 800n, key.id, "hour");
    const admitted = request(500n);
    await policy.admission.admit(admitted);
    await policy.admission.settle(admitted, used(nano(123n)));
    for (const each of (await policy.totals(namespaceId)).values()) {
      expect(each).toMatchObject({ spentNano: nano(123n), reservedNano: 0n });
    }
    expect(await policy.admission.admit(request(2_000n))).toMatchObject({ outputTokensMax: 677n });
  });

  it("counts an overrun in full, and denies the next request", async () => {
    const { request, total } = await policy.oneBudget(1_000n);
    const admitted = request(500n);
    await policy.admission.admit(admitted);
    await policy.admission.settle(admitted, used(nano(1_700n)));
    expect(await total()).toMatchObject({ spentNano: nano(1_700n), reservedNano: 0n });
    const denied = await policy.admission.admit(request(1n));
    expect(denied).toMatchObject({ outcome: "denied", message: expect.stringContaining("has 0 micro-USD left") });
  });

  it("counts a cost for which nothing was reserved, on a model without a price", async () => {
    const { request, total } = await policy.oneBudget(1_000n);
    const free = { ...request(500n), price: { inputPicoUsd: 0n, outputPicoUsd: 0n } };
    await policy.admission.admit(free);
    await policy.admission.settle(free, used(nano(7n)));
    expect(await total()).toMatchObject({ spentNano: nano(7n), reservedNano: 0n });
  });

  it("refuses a cost that no request can have, and keeps the reservation open", async () => {
    const { request, total } = await policy.oneBudget(1_000n);
    const admitted = request(500n);
    await policy.admission.admit(admitted);
    const settled = policy.admission.settle(admitted, used(2n ** 62n));
    await expect(settled).rejects.toMatchObject({ reason: "FIELD_INVALID", fields: [{ field: "cost_nano_usd" }] });
    expect(await total()).toMatchObject({ reservedNano: nano(500n) });
  });
});
