import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { BudgetWindow, PrincipalType } from "@routeplane/contracts/policy";
import { RequestStatus } from "@routeplane/contracts/usage";
import { newId } from "@routeplane/domain";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, refusal, SERVICE_TOKEN, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterEach(() => {
  policy.usage.requests.splice(0);
});
afterAll(() => policy.stop());

const SCOPES = ["policy:*", "usage:read"];
const HOUR_MS = 3_600_000;
const { API_KEY, NAMESPACE } = PrincipalType;

const draft = (limitMicroUsd: bigint, window = BudgetWindow.TOTAL) => ({
  case: "spec" as const,
  value: { kind: { case: "budget" as const, value: { window, limitMicroUsd } } },
});

/** Adds a request of 100 micro-USD, the given hours ago, to the log of the usage service. */
function addRequest(keyId: string, hoursAgo: number, change: object = {}): void {
  const createdMs = Date.now() - hoursAgo * HOUR_MS;
  const ended = { status: RequestStatus.SUCCEEDED, costMicroUsd: 100n, completedAt: timestampFromMs(createdMs + 500) };
  const facts = {
    id: newId("req"),
    keyId,
    model: "gpt-4o",
    provider: "openai",
    promptTokens: 5n,
    completionTokens: 5n,
  };
  policy.usage.requests.push({ ...facts, createdAt: timestampFromMs(createdMs), ...ended, ...change });
}

describe("a simulation", () => {
  it("reports the requests of the namespace that a draft would have denied, by key and rule, over several pages", async () => {
    const { namespaceId, key, simulation } = policy.newNamespace(SCOPES);
    const child = policy.key(namespaceId, key);
    for (let hoursAgo = 1; hoursAgo <= 8; hoursAgo++) addRequest(hoursAgo <= 2 ? child.id : key.id, hoursAgo);
    addRequest(key.id, 200);
    const answer = await simulation.simulatePolicy({ subject: draft(500n) });
    expect(answer).toMatchObject({
      requestCount: 8n,
      spendMicroUsd: 800n,
      refusedCount: 3n,
      refusedSpendMicroUsd: 300n,
      truncated: false,
      byRule: [{ rule: "budget", refusedCount: 3n }],
      byKey: [
        { keyId: child.id, requestCount: 2n, refusedCount: 2n, refusedSpendMicroUsd: 200n },
        { keyId: key.id, requestCount: 6n, refusedCount: 1n, refusedSpendMicroUsd: 100n },
      ],
      notSimulated: [],
    });
    expect(timestampMs(answer.to!) - timestampMs(answer.from!)).toBe(7 * 24 * HOUR_MS);
    const longer = await simulation.simulatePolicy({ subject: draft(500n), days: 10 });
    expect(longer).toMatchObject({ requestCount: 9n, refusedCount: 4n });
  });

  it("of a policy that is bound to a key replays its requests and those of the keys below it", async () => {
    const { namespaceId, key, simulation } = policy.newNamespace(SCOPES);
    const [child, sibling] = [policy.key(namespaceId, key), policy.key(namespaceId, key)];
    const grandchild = policy.key(namespaceId, child);
    for (const { id } of [key, child, sibling, grandchild]) addRequest(id, 1);
    const { policy: made } = await policy.bound(namespaceId, { kind: "guardrail", modelDeny: ["gpt-*"] }, sibling.id);
    await policy.disable(made.id);
    const subject = { case: "policyId" as const, value: made.id };
    const below = await simulation.simulatePolicy({ subject, principalType: API_KEY, principalId: child.id });
    expect(below).toMatchObject({ requestCount: 2n, refusedCount: 2n });
    expect(new Set(below.byKey.map(({ keyId }) => keyId))).toEqual(new Set([child.id, grandchild.id]));
    const all = await simulation.simulatePolicy({ subject, principalType: NAMESPACE, principalId: namespaceId });
    expect(all).toMatchObject({ requestCount: 4n, refusedCount: 4n, byRule: [{ rule: "guardrail.model_deny" }] });
  });

  it("counts a running request with its reservation", async () => {
    const { key, simulation } = policy.newNamespace(SCOPES);
    const pending = { status: RequestStatus.PENDING, costMicroUsd: 0n, reservedMicroUsd: 900n, completedAt: undefined };
    addRequest(key.id, 2, pending);
    addRequest(key.id, 1);
    const answer = await simulation.simulatePolicy({ subject: draft(950n) });
    expect(answer).toMatchObject({ requestCount: 2n, spendMicroUsd: 1_000n, refusedCount: 1n });
  });

  it("of one namespace runs alone, one more waits, and other namespaces are not delayed", async () => {
    const [own, other] = [policy.newNamespace(SCOPES), policy.newNamespace(SCOPES)];
    const gate = Promise.withResolvers<void>();
    policy.usage.gates.set(own.namespaceId, gate.promise);
    const started = Array.from({ length: 6 }, () => own.simulation.simulatePolicy({ subject: draft(1n) }));
    const refused = await Promise.all(started.slice(2).map(refusal));
    for (const error of refused) expect(error).toMatchObject({ code: Code.ResourceExhausted, reason: "LIMIT_REACHED" });
    for (let round = 0; round < 3; round++) await other.simulation.simulatePolicy({ subject: draft(1n) });
    gate.resolve();
    await Promise.all(started.slice(0, 2));
    await own.simulation.simulatePolicy({ subject: draft(1n) });
  });

  it("changes nothing", async () => {
    const { namespaceId, key, simulation, policies } = policy.newNamespace(SCOPES);
    await policy.budget(namespaceId, 5_000n);
    addRequest(key.id, 1);
    const before = [await policies.listPolicies({}), await policy.totals(namespaceId)];
    await simulation.simulatePolicy({ subject: draft(50n) });
    expect([await policies.listPolicies({}), await policy.totals(namespaceId)]).toEqual(before);
  });

  it("needs policy:read and usage:read, and covers the caller's namespace", async () => {
    for (const [held, scope] of [
      [["usage:read"], "policy:read"],
      [["policy:*"], "usage:read"],
    ] as const) {
      const { simulation } = policy.newNamespace(held);
      const error = await refusal(simulation.simulatePolicy({ subject: draft(1n) }));
      expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "SCOPE_MISSING", metadata: { scope } });
    }
    const [own, foreign] = [policy.newNamespace(SCOPES), policy.newNamespace(SCOPES)];
    const { policy: foreignPolicy } = await policy.budget(foreign.namespaceId, 5n);
    const simulate = (request: object) => refusal(own.simulation.simulatePolicy({ subject: draft(1n), ...request }));
    const unknown = await simulate({ subject: { case: "policyId", value: newId("pol") } });
    expect(unknown).toMatchObject({ code: Code.NotFound });
    expect(await simulate({ subject: { case: "policyId", value: foreignPolicy.id } })).toEqual(unknown);
    expect(await simulate({ principalType: API_KEY, principalId: foreign.key.id })).toEqual(unknown);
    expect(await simulate({ principalType: NAMESPACE, principalId: foreign.namespaceId })).toEqual(unknown);
    expect((await simulate({ principalId: own.key.id })).fields).toEqual(["principal_type"]);
    const service = policy.as(SERVICE_TOKEN).simulation.simulatePolicy({ subject: draft(1n) });
    expect(await refusal(service)).toMatchObject({ code: Code.PermissionDenied });
  });

  it("refuses a draft that could not be created and a number of days out of bounds, naming the field", async () => {
    const { simulation } = policy.newNamespace(SCOPES);
    const pattern = { name: "p", pattern: "(?=x)" };
    const unsound = { kind: { case: "guardrail" as const, value: { contentPatterns: [pattern] } } };
    const simulate = (request: object) => refusal(simulation.simulatePolicy({ subject: draft(1n), ...request }));
    expect((await simulate({ subject: { case: "spec", value: unsound } })).fields).toEqual([
      "spec.guardrail.content_patterns[0].pattern",
    ]);
    expect((await simulate({ subject: draft(0n) })).fields).toEqual(["spec.budget.limit_micro_usd"]);
    expect((await simulate({ days: 91 })).fields).toEqual(["days"]);
    expect((await refusal(simulation.simulatePolicy({}))).fields).toEqual(["subject"]);
  });

  it("is UNAVAILABLE while the usage service does not answer", async () => {
    const { simulation } = policy.newNamespace(SCOPES);
    policy.usage.usageDown.value = true;
    try {
      const error = await refusal(simulation.simulatePolicy({ subject: draft(1n) }));
      expect(error).toMatchObject({ code: Code.Unavailable, metadata: { dependency: "usage" } });
    } finally {
      policy.usage.usageDown.value = false;
    }
  });
});
