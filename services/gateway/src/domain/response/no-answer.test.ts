import { describe, expect, it } from "vitest";
import { type FakeUsageLog, fakeUsageLog } from "../../../test/fake-usage-log.ts";
import { answeringUpstream, failingUpstream } from "../../../test/fake-upstream.ts";
import { BODY, reservationOf, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import { unavailable } from "../../../test/unavailable.ts";
import { fakeReply } from "../../../test/fake-reply.ts";
import { boundTokens } from "../request/token-bounds.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";
import { type Upstream, UpstreamFault, type UpstreamFaultKind } from "../ports/upstream.ts";

/** Upstream that is silent until the call is cancelled. */
function hanging(kind: UpstreamFaultKind = "broken") {
  const signals: CancelSignal[] = [];
  const send: Upstream["send"] = ({ signal }) =>
    new Promise((_, reject) => {
      signals.push(signal);
      signal.addEventListener("abort", () => reject(new UpstreamFault(kind, "cancelled")));
    });
  return { signals, upstream: { boundTokens, send, async close() {} } };
}

const uncommitted = () => fakeUsageLog(() => Promise.reject(unavailable("nats")));
/** Usage log on a full disk: settlements are not enqueued. */
const unrecorded = (usage: FakeUsageLog): FakeUsageLog => {
  const recordSettlement: FakeUsageLog["recordSettlement"] = (...args) => {
    usage.recordSettlement(...args);
    return 0;
  };
  return { ...usage, recordSettlement };
};
const RESERVED = { outcome: "failed", costNanoUsd: reservationOf(BODY), estimated: true };
const FREE = { outcome: "failed", costNanoUsd: 0n, estimated: false };

describe("a request whose admission cannot be committed", () => {
  it("is refused with 503 and cancelled at the upstream at once, which may have worked by then: it is charged as reserved", async () => {
    const { upstream, signals } = hanging();
    const usage = uncommitted();
    const { serve, budget } = pipelineUnderTest({ upstream, usage });
    const { refusal, reply } = await serve(BODY);
    expect(refusal).toMatchObject({ status: 503, details: { dependency: "nats" } });
    expect(reply.begun).toBe(false);
    expect(signals[0]?.aborted).toBe(true);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: reservationOf(BODY) });
    expect(usage.settlements).toMatchObject([{ ...RESERVED, httpStatus: 503, errorCode: "dependency_unavailable" }]);
  });

  it("is charged as reserved where the upstream had answered by then, and free where that refused", async () => {
    for (const [status, charge] of [
      [200, RESERVED],
      [500, FREE],
    ] as const) {
      const usage = uncommitted();
      const { serve } = pipelineUnderTest({
        upstream: answeringUpstream("application/json", ["{}"], { status }),
        usage,
      });
      expect((await serve(BODY)).refusal).toMatchObject({ status: 503 });
      expect(usage.settlements).toMatchObject([charge]);
    }
  });

  it.each(["unreachable", "connect_timeout"] as const)(
    "is free where the upstream was %s: nothing was sent",
    async (kind) => {
      for (const { upstream } of [{ upstream: failingUpstream(kind) }, hanging(kind)]) {
        const usage = uncommitted();
        const { serve, budget } = pipelineUnderTest({ upstream, usage });
        expect((await serve(BODY)).refusal).toMatchObject({ status: 503 });
        expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 0n });
        expect(usage.settlements).toMatchObject([FREE]);
      }
    },
  );

  it("has its reservation charged, and not released, where its settlement cannot be recorded either", async () => {
    const { serve, budget } = pipelineUnderTest({ upstream: hanging().upstream, usage: unrecorded(uncommitted()) });
    await serve(BODY);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: reservationOf(BODY) });
    expect(budget.calls).toMatchObject({ settle: 1, release: 0 });
  });
});

describe("an upstream that sends no answer", () => {
  it.each([
    ["unreachable", 502, "upstream_unreachable", FREE],
    ["connect_timeout", 504, "upstream_timeout", FREE],
    ["timeout", 504, "upstream_timeout", RESERVED],
    ["broken", 502, "upstream_error", RESERVED],
  ] as const)(
    "because it is %s makes %i %s, and is charged for if it may have the request",
    async (kind, status, code, charge) => {
      const { serve, budget, usage } = pipelineUnderTest({ upstream: failingUpstream(kind) });
      expect((await serve(BODY)).refusal).toMatchObject({ status, code });
      expect(budget).toMatchObject({ reservedNano: 0n, spentNano: charge.costNanoUsd });
      expect(usage.settlements).toMatchObject([{ ...charge, httpStatus: status, errorCode: code }]);
    },
  );

  it.each([
    ["broken", reservationOf(BODY)],
    ["unreachable", 0n],
  ] as const)(
    "because its client has gone is charged for if it may have the request: %s",
    async (kind, costNanoUsd) => {
      const { upstream, signals } = hanging(kind);
      const { serve, budget, usage } = pipelineUnderTest({ upstream });
      const reply = fakeReply();
      const served = serve(BODY, reply);
      await expect.poll(() => signals.length).toBe(1);
      reply.cancel("client_gone");
      await served;
      expect(usage.settlements).toMatchObject([{ outcome: "cancelled", costNanoUsd, errorCode: "client_gone" }]);
      expect(budget).toMatchObject({ reservedNano: 0n, spentNano: costNanoUsd });
    },
  );

  it.each([
    ["api_key_revoked", "failed", 401, "api_key_revoked"],
    ["insufficient_scope", "failed", 403, "insufficient_scope"],
    ["dependency_unavailable", "failed", 503, "dependency_unavailable"],
    ["stopping", "failed", 503, "stopping"],
    ["too_long", "failed", 504, "upstream_timeout"],
    ["client_gone", "cancelled", 0, "client_gone"],
  ] as const)(
    "because it is cancelled as %s is recorded with the status and code that its client got",
    async (reason, outcome, httpStatus, errorCode) => {
      const { upstream, signals } = hanging();
      const { serve, usage } = pipelineUnderTest({ upstream });
      const reply = fakeReply();
      const served = serve(BODY, reply);
      await expect.poll(() => signals.length).toBe(1);
      reply.cancel(reason);
      const { refusal } = await served;
      if (reason !== "client_gone") expect(refusal).toMatchObject({ status: httpStatus, code: errorCode });
      expect(usage.settlements).toMatchObject([{ outcome, httpStatus, errorCode }]);
    },
  );
});
