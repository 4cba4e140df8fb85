import type { GuardrailSpec } from "@routeplane/guardrails";
import { describe, expect, it } from "vitest";
import { fakeBudget } from "./fake-admissions.ts";
import { failing, fallbackUnderTest, modelAt, working } from "./fallback-under-test.ts";
import { BODY, MICRO, reservationOf } from "./pipeline-under-test.ts";

const REQUEST = { ...BODY, model: "m" };
/** Charge of the answer of `working` at the prices of `modelAt`. */
const CHARGE = 7n * MICRO;

describe("a request to a model whose provider lacks its key", () => {
  const keyless = (provider: string, id: string, more: Parameters<typeof modelAt>[2] = {}) =>
    modelAt(provider, id, { unavailable: { variable: `${provider.toUpperCase()}_API_KEY` }, ...more });
  const one = keyless("one", "m", { fallback: ["two/n"] });
  const two = modelAt("two", "n", {}, 3n);
  const refusedForKey = { status: 503, code: "provider_key_missing", details: { variable: "ONE_API_KEY" } };
  const answers = { one: working, two: working };

  it("goes only to its fallback: it is admitted, charged and recorded as such, and nothing is sent to the provider without a key", async () => {
    await using gateway = await fallbackUnderTest([one, two], answers);
    const { reply } = await gateway.serve(REQUEST);
    expect(reply.text).toContain("hello");
    expect(gateway.calls()).toEqual({ one: 0, two: 1 });
    const facts = { provider: "two", model: "n" };
    const reservedNanoUsd = 3n * reservationOf(REQUEST);
    expect(gateway.usage.admissions).toMatchObject([{ facts, reservedNanoUsd, price: { version: "file:two" } }]);
    expect(gateway.usage.settlements).toMatchObject([{ facts, costNanoUsd: 3n * CHARGE, attempts: [] }]);
    expect(gateway.budget).toMatchObject({ spentNano: 3n * CHARGE, reservedNano: 0n });
  });

  it("goes to the first one that has a key, and on from there", async () => {
    const models = [
      keyless("one", "m", { fallback: ["two/n", "three/o", "four/p"] }),
      keyless("two", "n"),
      modelAt("three", "o"),
      modelAt("four", "p"),
    ];
    const all = { ...answers, three: failing(503), four: working };
    await using gateway = await fallbackUnderTest(models, all);
    await gateway.serve(REQUEST);
    expect(gateway.calls()).toEqual({ one: 0, two: 0, three: 1, four: 1 });
    const attempts = [{ provider: "three" }, { provider: "four" }];
    expect(gateway.usage.settlements).toMatchObject([{ facts: { provider: "four" }, attempts }]);
  });

  it("goes to another deployment that has a key", async () => {
    const deployments = [
      { provider: "one", id: "m", weight: 1_000 },
      { provider: "two", id: "n", weight: 1 },
    ];
    await using gateway = await fallbackUnderTest([keyless("one", "m", { deployments }), two], answers);
    await gateway.serve(REQUEST);
    expect(gateway.calls()).toEqual({ one: 0, two: 1 });
  });

  it("never goes to a fallback without a key once its own model has failed", async () => {
    const models = [modelAt("one", "m", { fallback: ["two/n"] }), keyless("two", "n")];
    await using gateway = await fallbackUnderTest(models, { one: failing(500), two: working });
    expect((await gateway.serve(REQUEST)).refusal).toMatchObject({ status: 502 });
    expect(gateway.calls()).toEqual({ one: 1, two: 0 });
  });

  it.each<[string, Parameters<typeof fallbackUnderTest>[0], readonly GuardrailSpec[], object]>([
    ["all others lack theirs", [one, keyless("two", "n")], [], refusedForKey],
    ["guardrails do not allow the fallback", [one, two], [{ modelDeny: ["two/*"] }], refusedForKey],
    ["guardrails do not allow the model itself", [one, two], [{ modelDeny: ["one/*"] }], { status: 403 }],
    [
      "the fallback does not serve it",
      [one, modelAt("two", "n", { wires: new Set(["embeddings"] as const) })],
      [],
      refusedForKey,
    ],
  ])("is refused, and reserves nothing, if %s", async (_, models, guardrails, refused) => {
    await using gateway = await fallbackUnderTest(models, answers, { guardrails });
    expect((await gateway.serve(REQUEST)).refusal).toMatchObject(refused);
    expect(gateway.calls()).toEqual({ one: 0, two: 0 });
    expect(gateway.budget.calls.admit).toBe(0);
  });

  it("is refused by the budget as a request to its fallback", async () => {
    await using gateway = await fallbackUnderTest([one, two], answers, { budget: fakeBudget(1_000n) });
    expect((await gateway.serve(REQUEST)).refusal).toMatchObject({ status: 402 });
    expect(gateway.usage.settlements).toMatchObject([{ facts: { provider: "two" }, outcome: "denied" }]);
  });
});
