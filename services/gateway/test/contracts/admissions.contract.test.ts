import type { Limits } from "@routeplane/admission";
import { type Id, microToNano, newId } from "@routeplane/domain";
import { breakable } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MICRO_PER_TOKEN, type PolicyUnderTest, startPolicyUnderTest } from "../../../policy/test/policy-under-test.ts";
import { createAdmissions } from "../../src/clients/admissions.ts";
import type { AdmissionRequest, Admissions, ReservationKey } from "../../src/domain/ports/admissions.ts";
import { fakeAdmissions } from "../fake-admissions.ts";

/** Contract of `Admissions`, which the client of the policy service and its fake fulfil. */

type Mode = "enforce" | "shadow";

/** An implementation, and a namespace with one binding of the limits under test. */
interface Subject {
  readonly admissions: Admissions;
  readonly namespaceId: Id<"ns">;
  readonly lineage: readonly Id<"key">[];
  /** Nano-USD that the budget of the binding has settled and reserved. */
  readonly totals: () => Promise<{ readonly spentNano: bigint; readonly reservedNano: bigint }>;
  /** Makes the authority of admission unreachable. */
  readonly goDown: () => void;
}

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const implementations: [string, (limits: Limits, mode?: Mode) => Promise<Subject>][] = [
  [
    "the client of the policy service",
    async ({ budget, rateLimit }, mode = "enforce") => {
      const namespaceId = newId("ns");
      const { lineage } = policy.key(namespaceId);
      if (budget !== undefined) {
        const spec = { kind: "budget", window: budget.window, limitMicroUsd: budget.limitNano / 1_000n } as const;
        await policy.bound(namespaceId, spec, undefined, mode);
      }
      if (rateLimit !== undefined) {
        await policy.bound(namespaceId, { kind: "rate_limit", ...rateLimit }, undefined, mode);
      }
      const transport = breakable(policy.asService(policy.transport));
      return {
        admissions: createAdmissions(transport),
        namespaceId,
        lineage,
        totals: async () => [...(await policy.totals(namespaceId)).values()][0] ?? expect.fail("no budget"),
        goDown: () => void (transport.callsFail = true),
      };
    },
  ],
  [
    "the fake",
    async (limits, mode) => {
      const admissions = fakeAdmissions(limits, mode === "shadow");
      return {
        admissions,
        namespaceId: newId("ns"),
        lineage: [newId("key")],
        totals: async () => ({ spentNano: admissions.spentNano, reservedNano: admissions.reservedNano }),
        goDown: () => void (admissions.isDown = true),
      };
    },
  ],
];

/** A request that costs at most `micro` micro-USD: one output token costs one, and input nothing. */
function requestOf(
  { namespaceId, lineage }: Subject,
  micro: number,
  idempotencyKey?: string,
): AdmissionRequest & ReservationKey {
  const bounds = {
    price: MICRO_PER_TOKEN,
    inputTokensMax: 0,
    outputTokensMax: micro,
    choices: 1,
    refuseRatherThanLower: false,
  };
  const keyId = lineage.at(-1) ?? expect.fail("the lineage is empty");
  return { namespaceId, keyId, lineage, requestId: newId("req"), idempotencyKey, ...bounds };
}

const budgetOf = (micro: bigint): Limits => ({ budget: { window: "total", limitNano: microToNano(micro) } });
const NOTHING = { spentNano: 0n, reservedNano: 0n };

describe.each(implementations)("%s as admissions", (_, start) => {
  it("lowers the output bound to what is left or, if requested, denies instead, using up nothing", async () => {
    const subject = await start(budgetOf(300n));
    const tightenable = { ...requestOf(subject, 500), refuseRatherThanLower: true };
    expect(await subject.admissions.admit(tightenable)).toMatchObject({ admitted: false, denial: { rule: "budget" } });
    expect(await subject.admissions.admit({ ...tightenable, outputTokensMax: 300 })).toMatchObject({
      admitted: true,
      outputTokensMax: 300,
    });
    await subject.admissions.release(tightenable, true);
    expect(await subject.admissions.admit(requestOf(subject, 500))).toMatchObject({
      admitted: true,
      outputTokensMax: 300,
    });
  });

  it("admits without a reservation if no limit applies", async () => {
    const subject = await start({});
    expect(await subject.admissions.admit(requestOf(subject, 500))).toEqual({
      admitted: true,
      outputTokensMax: 500,
      reservedNanoUsd: 0n,
      expiresAt: undefined,
      shadowDenials: [],
      requests: undefined,
      tokens: undefined,
    });
  });

  it("reserves the maximum cost of a request, until a time in the future", async () => {
    const subject = await start(budgetOf(1_000n));
    const decision = await subject.admissions.admit(requestOf(subject, 400));
    expect(decision).toMatchObject({ admitted: true, outputTokensMax: 400, reservedNanoUsd: microToNano(400n) });
    expect(decision.admitted && decision.expiresAt?.getTime()).toBeGreaterThan(Date.now());
    expect(await subject.totals()).toMatchObject({ spentNano: 0n, reservedNano: microToNano(400n) });
  });

  it("lowers the output bound to what the budget has left", async () => {
    const subject = await start(budgetOf(1_000n));
    await subject.admissions.admit(requestOf(subject, 700));
    expect(await subject.admissions.admit(requestOf(subject, 700))).toMatchObject({ outputTokensMax: 300 });
  });

  it("denies what does not fit, names policy, binding, principal and rule, and reserves nothing for it", async () => {
    const subject = await start(budgetOf(100n));
    await subject.admissions.admit(requestOf(subject, 100));
    const decision = await subject.admissions.admit(requestOf(subject, 1));
    expect(decision).toMatchObject({
      admitted: false,
      denial: {
        policyId: expect.stringMatching(/^pol_/) as string,
        bindingId: expect.stringMatching(/^bnd_/) as string,
        policyName: expect.any(String) as string,
        principalType: "namespace",
        principalId: subject.namespaceId,
        rule: "budget",
        message: expect.any(String) as string,
      },
    });
    expect(await subject.totals()).toMatchObject({ reservedNano: microToNano(100n) });
  });

  it("admits the same request again with the same decision, and reserves for it once", async () => {
    const subject = await start(budgetOf(1_000n));
    const request = requestOf(subject, 700);
    const decision = await subject.admissions.admit(request);
    expect(await subject.admissions.admit(request)).toEqual(decision);
    expect(await subject.totals()).toMatchObject({ reservedNano: microToNano(700n) });
  });

  it("replaces a reservation by the cost, once, however often it is settled or released", async () => {
    const subject = await start(budgetOf(1_000n));
    const request = requestOf(subject, 700);
    await subject.admissions.admit(request);
    const used = { costNanoUsd: 12_345n, tokens: 12 };
    await subject.admissions.settle(request, used);
    await subject.admissions.settle(request, used);
    await subject.admissions.settle(request, { costNanoUsd: 99_999n, tokens: 99 });
    await subject.admissions.release(request, true);
    expect(await subject.totals()).toMatchObject({ spentNano: 12_345n, reservedNano: 0n });
  });

  it("frees a released reservation without a charge, and a settlement after it changes nothing", async () => {
    const subject = await start(budgetOf(1_000n));
    const request = requestOf(subject, 700);
    await subject.admissions.admit(request);
    await subject.admissions.release(request, false);
    await subject.admissions.release(request, true);
    await subject.admissions.settle(request, { costNanoUsd: 12_345n, tokens: 12 });
    expect(await subject.totals()).toMatchObject(NOTHING);
  });

  it("counts a cost beyond the reservation in full", async () => {
    const subject = await start(budgetOf(1_000n));
    const request = requestOf(subject, 10);
    await subject.admissions.admit(request);
    await subject.admissions.settle(request, { costNanoUsd: microToNano(2_000n), tokens: 2_000 });
    expect(await subject.totals()).toMatchObject({ spentNano: microToNano(2_000n), reservedNano: 0n });
    expect(await subject.admissions.admit(requestOf(subject, 1))).toMatchObject({ admitted: false });
  });

  it("settles and releases an unknown request without an error or an effect", async () => {
    const subject = await start(budgetOf(1_000n));
    await subject.admissions.settle(requestOf(subject, 10), { costNanoUsd: 5n, tokens: 1 });
    await subject.admissions.release(requestOf(subject, 10), true);
    expect(await subject.totals()).toMatchObject(NOTHING);
  });

  it("does not admit an ended request again", async () => {
    const subject = await start(budgetOf(1_000n));
    const [settled, released] = [requestOf(subject, 10), requestOf(subject, 10)];
    for (const request of [settled, released]) await subject.admissions.admit(request);
    await subject.admissions.settle(settled, { costNanoUsd: 5n, tokens: 1 });
    await subject.admissions.release(released, false);
    for (const request of [settled, released]) {
      await expect(subject.admissions.admit(request)).rejects.toMatchObject({
        code: "failed_precondition",
        reason: "STATE_CONFLICT",
      });
    }
  });

  it("keeps requests of two keys with the same request id apart", async () => {
    const subject = await start(budgetOf(1_000n));
    const request = requestOf(subject, 10);
    const sibling = { ...request, keyId: newId("key") };
    await subject.admissions.admit(request);
    await subject.admissions.settle(sibling, { costNanoUsd: microToNano(5n), tokens: 5 });
    expect(await subject.totals()).toMatchObject({ spentNano: 0n, reservedNano: microToNano(10n) });
  });

  it.each([
    ["a budget", budgetOf(1_000n)],
    ["no limit", {}],
  ])("admits one request with an idempotency key under %s, until that one is released", async (_name, limits) => {
    const subject = await start(limits);
    const [first, second] = [requestOf(subject, 10, "retry-1"), requestOf(subject, 10, "retry-1")];
    await subject.admissions.admit(first);
    await expect(subject.admissions.admit(second)).rejects.toMatchObject({
      code: "already_exists",
      reason: "IDEMPOTENCY_KEY_USED",
      metadata: { request_id: first.requestId },
    });
    expect(await subject.admissions.admit(requestOf(subject, 10, "retry-2"))).toMatchObject({ admitted: true });
    await subject.admissions.release(first, false);
    expect(await subject.admissions.admit(second)).toMatchObject({ admitted: true });
    await subject.admissions.settle(second, { costNanoUsd: 5n, tokens: 1 });
    await expect(subject.admissions.admit(requestOf(subject, 10, "retry-1"))).rejects.toMatchObject({
      metadata: { request_id: second.requestId },
    });
  });

  it("reports the state of a rate limit, with this request counted", async () => {
    const subject = await start({ rateLimit: { windowSecs: 60, maxRequests: 2n } });
    const decision = await subject.admissions.admit(requestOf(subject, 10));
    expect(decision).toMatchObject({ requests: { limit: 2, remaining: 1 }, tokens: undefined });
    expect(decision.requests?.resetsAt.getTime()).toBeGreaterThan(Date.now());
    await subject.admissions.admit(requestOf(subject, 10));
    const denied = await subject.admissions.admit(requestOf(subject, 10));
    expect(denied).toMatchObject({ admitted: false, denial: { rule: "rate_limit.max_requests" } });
    expect(!denied.admitted && denied.denial.retryAt?.getTime()).toBeGreaterThan(Date.now());
  });

  it("counts a released request against a rate limit if it was sent, and not otherwise", async () => {
    const subject = await start({ rateLimit: { windowSecs: 60, maxRequests: 2n } });
    const [unsent, sent] = [requestOf(subject, 10), requestOf(subject, 10)];
    for (const request of [unsent, sent]) await subject.admissions.admit(request);
    await subject.admissions.release(unsent, true);
    await subject.admissions.release(sent, false);
    expect(await subject.admissions.admit(requestOf(subject, 10))).toMatchObject({ requests: { remaining: 0 } });
    expect(await subject.admissions.admit(requestOf(subject, 10))).toMatchObject({ admitted: false });
  });

  it("gives a slot back when a request is settled or released", async () => {
    const subject = await start({ rateLimit: { windowSecs: 60, maxConcurrent: 1n } });
    const [settled, released] = [requestOf(subject, 10), requestOf(subject, 10)];
    await subject.admissions.admit(settled);
    expect(await subject.admissions.admit(requestOf(subject, 10))).toMatchObject({
      admitted: false,
      denial: { rule: "rate_limit.max_concurrent" },
    });
    await subject.admissions.settle(settled, { costNanoUsd: 5n, tokens: 1 });
    expect(await subject.admissions.admit(released)).toMatchObject({ admitted: true });
    await subject.admissions.release(released, false);
    expect(await subject.admissions.admit(requestOf(subject, 10))).toMatchObject({ admitted: true });
  });

  it("admits under a binding in shadow mode, and names the rule that would have denied", async () => {
    const subject = await start(budgetOf(10n), "shadow");
    await subject.admissions.admit(requestOf(subject, 10));
    expect(await subject.admissions.admit(requestOf(subject, 50))).toMatchObject({
      admitted: true,
      outputTokensMax: 50,
      shadowDenials: [{ bindingId: expect.stringMatching(/^bnd_/) as string, rule: "budget" }],
    });
  });

  it("rejects every call as UNAVAILABLE while its authority does not answer", async () => {
    const subject = await start(budgetOf(1_000n));
    const request = requestOf(subject, 10);
    subject.goDown();
    const error = { name: "DomainError", code: "unavailable", metadata: { dependency: "policy" } };
    await expect(subject.admissions.admit(request)).rejects.toMatchObject(error);
    await expect(subject.admissions.settle(request, { costNanoUsd: 5n, tokens: 1 })).rejects.toMatchObject(error);
    await expect(subject.admissions.release(request, true)).rejects.toMatchObject(error);
  });
});
