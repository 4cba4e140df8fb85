import { createLogger } from "@routeplane/runtime";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { answeringUpstream } from "../../../test/fake-upstream.ts";
import { fakeReply } from "../../../test/fake-reply.ts";
import { sampleFacts } from "../../../test/sample-usage.ts";
import { Timings } from "../metering/timings.ts";
import { type UpstreamAnswer, UpstreamFault } from "../ports/upstream.ts";
import type { Model } from "../request/model-directory.ts";
import { callHops } from "./call-hops.ts";
import type { RequestHop } from "./request-hops.ts";
import { UpstreamHealth } from "./upstream-health.ts";

const PRICE = { inputPicoUsd: 1n, outputPicoUsd: 1n };
const log = createLogger("gateway", (line) => line, "silent");

/** Request over hops with this outcome each; everything that happens is in `steps`, in order. */
function request(outcomes: readonly (number | "unreachable")[], retries = 0) {
  const steps: string[] = [];
  const reply = fakeReply();
  const health = new UpstreamHealth(() => 0);
  const hops = outcomes.map((outcome, group): RequestHop => {
    const provider = `p${group}`;
    const prices = [{ aboveInputTokens: 0, price: PRICE }] as const;
    const model: Model = { provider, id: "m", prices, priceVersion: "1", outputField: "max_tokens" };
    const send = async (): Promise<UpstreamAnswer> => {
      steps.push(`call ${provider}`);
      if (outcome === "unreachable") throw new UpstreamFault("unreachable", "no");
      const discard = () => void steps.push(`discard ${provider}`);
      const answer = { status: outcome, retryAfter: retries > 0 ? "1" : undefined, discard };
      return answeringUpstream("application/json", ["{}"], answer).send({} as never);
    };
    const bounds = { inputTokensMax: 10, outputTokensMax: 6 };
    return { model, billedModelFor: () => model, bounds, send, health: health.of(model), retries, group };
  });
  const reservation = {
    grantedTo: () => ({ inputTokensMax: 10, outputTokensMax: 6 }),
    markSent: ({ model }: Pick<RequestHop, "model">) => void steps.push(`sent ${model.provider}`),
    markRefused: () => void steps.push("refused"),
    addFailedAttempt: ({ errorCode }: { errorCode: string }) => void steps.push(`failed ${errorCode}`),
  };
  const calls = { facts: sampleFacts(), reply, timings: new Timings(), reservation, hops, choices: 2, log };
  return { steps, reply, answer: callHops(calls) };
}

describe("callHops", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("marks each attempt before it is sent, and as refused before the next one", async () => {
    const { steps, answer } = request([503, "unreachable", 200]);
    expect(await answer).toMatchObject({ hop: { group: 2 }, answer: { value: { status: 200 } }, outputTokensMax: 6 });
    expect(steps.join(", ")).toBe(
      "sent p0, call p0, refused, failed upstream_overloaded, discard p0, " +
        "sent p1, call p1, refused, failed upstream_unreachable, sent p2, call p2",
    );
  });

  it("leaves the last answer to its caller, unread", async () => {
    const { steps, answer } = request([500, 429]);
    expect(await answer).toMatchObject({ hop: { group: 1 }, answer: { value: { status: 429 } } });
    expect(steps).not.toContain("discard p1");
    expect(steps.at(-1)).toBe("refused");
  });

  it("sends a request once more only after the wait", async () => {
    const { steps, answer } = request([429], 1);
    await vi.advanceTimersByTimeAsync(999);
    expect(steps.filter((step) => step === "call p0")).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(500);
    await answer;
    expect(steps.filter((step) => step === "call p0")).toHaveLength(2);
  });

  it("ends the wait when the request is cancelled, and sends nothing more", async () => {
    const { steps, reply, answer } = request([429], 1);
    await vi.advanceTimersByTimeAsync(10);
    reply.cancel("client_gone");
    // No timer is advanced.
    expect(await answer).toMatchObject({ answer: { status: "rejected", reason: { isSent: false } } });
    expect(steps.filter((step) => step === "call p0")).toHaveLength(1);
    expect(steps.filter((step) => step === "sent p0")).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
