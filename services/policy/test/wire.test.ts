import { Code, createClient } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import { BudgetWindow, PrincipalType } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type PolicyUnderTest,
  refusal,
  SERVICE_TOKEN,
  startPolicyUnderTest,
  type TestNamespace,
} from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

describe("admission over the wire", () => {
  const price = { inputPicoUsd: 0n, outputPicoUsd: 1_000_000n };
  const admitRequest = ({ namespaceId, key }: TestNamespace, outputTokensMax: bigint) => {
    const lineage = [...key.lineage];
    return { namespaceId, keyId: key.id, requestId: newId("req"), lineage, price, inputTokensMax: 0n, outputTokensMax };
  };

  it("admits, settles, voids and denies with every field that the route's error needs", async () => {
    const own = policy.newNamespace();
    const { admission } = policy.as(SERVICE_TOKEN);
    const value = { window: BudgetWindow.DAY, limitMicroUsd: 100n };
    const spec = { kind: { case: "budget" as const, value } };
    const { policy: made } = await own.policies.createPolicy({ name: "tiny", spec });
    const policyId = made?.id ?? "";
    const on = { principalType: PrincipalType.API_KEY, principalId: own.key.id };
    const { binding } = await own.policies.bindPolicy({ policyId, ...on });

    const [settled, voided] = [admitRequest(own, 60n), admitRequest(own, 60n)];
    const { outcome } = await admission.admit(settled);
    expect(outcome).toMatchObject({ case: "admission", value: { outputTokensMax: 60n, reservedNanoUsd: 60_000n } });
    expect((await admission.admit(voided)).outcome.value).toMatchObject({ outputTokensMax: 40n });
    await admission.settle({ ...settled, costNanoUsd: 100_000n });
    await admission.void(voided);
    expect((await admission.admit(admitRequest(own, 5n))).outcome).toMatchObject({
      case: "denial",
      value: {
        policyId,
        policyName: "tiny",
        bindingId: binding?.id,
        ...on,
        message: 'budget "tiny" (day, 100 micro-USD) has 0 micro-USD left; the request needs at least 1 micro-USD',
      },
    });
    const totals = [...(await policy.totals(own.namespaceId)).values()];
    expect(totals).toEqual([{ limitNano: 100_000n, spentNano: 100_000n, reservedNano: 0n }]);
  });

  it("refuses bounds and prices that make no sense, naming the field", async () => {
    const { admission } = policy.as(SERVICE_TOKEN);
    const sane = admitRequest(policy.newNamespace(), 5n);
    for (const [field, wrong] of [
      ["output_tokens_max", { outputTokensMax: -1n }],
      ["input_tokens_max", { inputTokensMax: 1_000_000_001n }],
      ["choices", { choices: -1 }],
      ["lineage", { lineage: [] }],
      ["price.input_pico_usd", { price: { inputPicoUsd: -1n, outputPicoUsd: 0n } }],
    ] as const) {
      expect((await refusal(admission.admit({ ...sane, ...wrong } as typeof sane))).fields).toEqual([field]);
    }
    const { price: _, ...priceless } = sane;
    expect((await refusal(admission.admit(priceless))).fields).toEqual(["price"]);
    expect((await refusal(admission.settle({ ...sane, costNanoUsd: -1n }))).fields).toEqual(["cost_nano_usd"]);
    for (const wrong of [{ namespaceId: "ns_x" }, { requestId: "1" }, { lineage: ["key_x"] }]) {
      expect(await refusal(admission.admit({ ...sane, ...wrong }))).toMatchObject({ code: Code.NotFound });
    }
  });
});

describe("while something is down", () => {
  it("the policy service is UNAVAILABLE without auth, and admission goes on", async () => {
    const own = policy.newNamespace();
    const price = { inputPicoUsd: 0n, outputPicoUsd: 0n };
    const request = { namespaceId: own.namespaceId, requestId: newId("req"), lineage: [own.key.id], price };
    policy.authDown.value = true;
    try {
      const error = await refusal(own.policies.listPolicies({}));
      expect(error).toMatchObject({ code: Code.Unavailable, metadata: { dependency: "auth" } });
      const { outcome } = await policy.as(SERVICE_TOKEN).admission.admit(request);
      expect(outcome.case).toBe("admission");
    } finally {
      policy.authDown.value = false;
    }
  });

  it("nothing is admitted without the database, and the health of its dependencies is NOT_SERVING", async () => {
    const without = policy.withoutDatabase();
    const { namespaceId, key } = policy.newNamespace();
    const price = { inputPicoUsd: 0n, outputPicoUsd: 0n };
    const request = { namespaceId, requestId: newId("req"), lineage: [key.id], price };
    expect(await refusal(without.as(SERVICE_TOKEN).admission.admit(request))).toMatchObject({
      code: Code.Unavailable,
      metadata: { dependency: "postgres" },
    });
    const health = createClient(Health, without.transport);
    expect(await health.check({ service: "dependencies" })).toMatchObject({ status: Status.NOT_SERVING });
    expect(await health.check({})).toMatchObject({ status: Status.SERVING });
  });
});

it("is ready while its database answers", async () => {
  const health = createClient(Health, policy.transport);
  expect(await health.check({})).toMatchObject({ status: Status.SERVING });
});
