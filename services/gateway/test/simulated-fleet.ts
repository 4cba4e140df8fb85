/**
 * Gateways and a policy service in one process, on a clock that the test moves: the real code of both, over counters in memory. A call
 * takes some milliseconds of that clock, so that decisions, waits and the number of calls are the same in every run. A test that imports
 * it replaces `node:timers/promises` by `simulated-timers.ts`.
 */
import { type Id, newId, requireId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { expect, vi } from "vitest";
import {
  isAnyCentral,
  NAMESPACE_ID,
  type SimulatedBinding,
  simulatePolicy,
} from "../../policy/test/simulated-policy.ts";
import { KeptDecisions } from "../src/domain/admission/kept-decisions.ts";
import { createLocalAdmissions } from "../src/domain/admission/local-admissions.ts";
import { SessionKeeper } from "../src/domain/admission/session-keeper.ts";
import { createSettlements } from "../src/domain/metering/settlements.ts";
import type { AdmissionDecision, AdmissionRequest, SlicedAdmission } from "../src/domain/ports/admissions.ts";
import type { GatewaySessions } from "../src/domain/ports/gateway-sessions.ts";
import type { AppliedLimit, AppliedLimits } from "../src/domain/ports/limit-directory.ts";
import type { PendingSettlement } from "../src/domain/ports/usage-log.ts";
import { fakeUsageLog } from "./fake-usage-log.ts";
import { sampleFacts, sampleSettlement } from "./sample-usage.ts";

/** Time that a call takes to the policy service, and an answer back. */
const WAY_MS = 2;
/** One output token costs one micro-USD. */
const PRICE = { inputPicoUsd: 0n, outputPicoUsd: 1_000_000n };
const KEY_ID: Id<"key"> = newId("key");
const log = createLogger("test", (line) => line, "silent");

/** Moves the timers and clocks of this process to one that the test moves. */
export function useSimulatedClock(): void {
  const timers = [
    "setTimeout",
    "clearTimeout",
    "setInterval",
    "clearInterval",
    "setImmediate",
    "clearImmediate",
  ] as const;
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1), toFake: [...timers, "Date", "performance"] });
}

/** Calls of all gateways. */
export interface Calls {
  acquire: number;
  admit: number;
  report: number;
}

export interface SimulatedRequest {
  readonly decision: AdmissionDecision;
  readonly isAdmitted: boolean;
  readonly isOnSlices: boolean;
  settle(tokens: number): void;
}

/** Starts gateways on these limits, which apply to every request. */
export function simulateFleet(count: number, bindings: readonly SimulatedBinding[]) {
  const calls: Calls = { acquire: 0, admit: 0, report: 0 };
  const way = () => new Promise((resolve) => setTimeout(resolve, WAY_MS));
  const policy = simulatePolicy(bindings, (ids) => {
    for (const { keeper } of gateways) setTimeout(() => keeper.recall(ids), WAY_MS);
  });
  const call = async <T>(name: keyof Calls, work: () => Promise<T>): Promise<T> => {
    calls[name]++;
    await way();
    const answer = await work();
    await way();
    return answer;
  };
  const gateways = Array.from({ length: count }, () => simulateGateway(policy, appliedLimits(bindings), call));
  return {
    calls,
    counters: policy.counters,
    /** Lets time pass. */
    pass: (ms: number) => vi.advanceTimersByTimeAsync(ms),
    /** Sends a request of `tokens` tokens to a gateway. */
    open: (n: number, tokens: number) => (gateways[n % gateways.length] ?? expect.fail()).admit(tokens),
    /** Sends a request of `tokens` tokens to a gateway, which settles at once at its bound. Resolves to the request. */
    async request(n: number, tokens: number): Promise<SimulatedRequest> {
      const request = await this.open(n, tokens);
      request.settle(tokens);
      return request;
    },
    async stop(): Promise<void> {
      const stopped = Promise.all(gateways.map((gateway) => gateway.stop()));
      await vi.advanceTimersByTimeAsync(5_000);
      await stopped;
    },
  };
}

type Call = <T>(name: keyof Calls, work: () => Promise<T>) => Promise<T>;

function simulateGateway(policy: ReturnType<typeof simulatePolicy>, limits: AppliedLimits, call: Call) {
  const usageLog = fakeUsageLog();
  const sessions: GatewaySessions = {
    renew: async () => ({ state: "open", lengthMs: 30_000 }),
    close: async () => {},
    acquire: (sessionId, requests) =>
      call("acquire", async () => {
        const answer = await policy.gatewaySessions.acquire(
          sessionId,
          requests.map((each) => ({ ...each, counters: each.counters.map(toPolicyRequest) })),
        );
        const grants = answer.grants.map(
          (grant) =>
            grant && {
              granted: grant.granted,
              counters: grant.counters.map(({ granted, doubt, rate, remaining, resetsAtMs }) => ({
                granted: Number(granted),
                doubt: Number(doubt),
                rate: rate && { ...rate, amount: Number(rate.amount) },
                remaining: Number(remaining),
                resetsAtMs,
              })),
            },
        );
        return { state: answer.state, grants };
      }),
  };
  const elapsed = () => performance.now();
  const kept = new KeptDecisions(elapsed, Date.now);
  const settlements = createSettlements({
    onReported: ({ namespaceId, neverSent }) => kept.free(namespaceId, neverSent),
    admissions: { settle: () => expect.fail(), release: () => expect.fail() },
    reports: {
      report: (settlements) => call("report", () => policy.gatewaySessions.report(settlements.map(toPolicyReport))),
    },
    usageLog,
    log,
  });
  const keeper = new SessionKeeper({ sessions, records: usageLog, elapsed, log });
  const local = createLocalAdmissions({ limits: { findLimits: () => limits }, keeper, kept, elapsed, clock: Date.now });
  const admitCentrally = async (request: AdmissionRequest): Promise<AdmissionDecision> => {
    const { price, requestId, namespaceId, lineage, refuseRatherThanLower } = request;
    const bounds = { price, inputTokensMax: 0n, outputTokensMax: BigInt(request.outputTokensMax), choices: 1n };
    const names = { namespaceId, requestId, lineage, idempotencyKey: undefined, sessionId: undefined };
    const result = await call("admit", () => policy.admission.admit({ ...names, ...bounds, refuseRatherThanLower }));
    const shadowDenials = result.shadowDenials.map(({ binding: { policyId, bindingId }, rule }) => ({
      policyId,
      bindingId,
      rule,
    }));
    const states = { requests: undefined, tokens: undefined, shadowDenials };
    if (result.outcome === "admitted") {
      const { reservedNano: reservedNanoUsd, expiresAt } = result;
      return { admitted: true, outputTokensMax: Number(result.outputTokensMax), reservedNanoUsd, expiresAt, ...states };
    }
    const { binding, rule, message, isFirm, retryAtMs } = result;
    const { policyId, policyName, bindingId, principal } = binding;
    const source = { policyId, policyName, bindingId, principalType: principal.type, principalId: principal.id };
    const retryAt = retryAtMs === undefined ? undefined : new Date(retryAtMs);
    return { admitted: false, denial: { ...source, rule, message, isFirm, retryAt }, ...states };
  };
  return {
    keeper,
    /** Admits a request of so many tokens, which cost a micro-USD each. */
    async admit(tokensMax: number): Promise<SimulatedRequest> {
      const facts = sampleFacts({ namespaceId: NAMESPACE_ID, keyId: KEY_ID });
      const bounds = { price: PRICE, inputTokensMax: 0, outputTokensMax: tokensMax, choices: 1 };
      const names = { namespaceId: NAMESPACE_ID, requestId: facts.requestId, lineage: [KEY_ID] };
      const request = { ...names, ...bounds, refuseRatherThanLower: false, idempotencyKey: undefined };
      const onSlices = await local.admit(request);
      const askPolicy = async (): Promise<AdmissionDecision> => {
        const keep = local.ask(request);
        const answer = await admitCentrally(request);
        keep(answer);
        return answer;
      };
      const decision = onSlices ?? (await askPolicy());
      const isAdmitted = decision.admitted;
      const slices: SlicedAdmission | undefined = decision.admitted ? decision.slices : undefined;
      const hasReservation = decision.admitted && decision.expiresAt !== undefined;
      slices?.acknowledgeAdmission();
      return {
        decision,
        isAdmitted,
        isOnSlices: onSlices?.admitted === true,
        settle(tokens) {
          const amounts = { costNanoUsd: BigInt(tokens) * 1_000n, promptTokens: 0, completionTokens: tokens };
          const state = { hasReservation, neverSent: false, pendingRelease: undefined, slices };
          if (isAdmitted) settlements.settle(facts, sampleSettlement(amounts), state);
        },
      };
    },
    async stop(): Promise<void> {
      await settlements.stop();
      await keeper.stop();
    },
  };
}

function appliedLimits(bindings: readonly SimulatedBinding[]): AppliedLimits {
  const limits = bindings.flatMap(({ bindingId, limits: { budget, rateLimit }, shadow: isShadow = false }) => {
    const maxima = {
      requests: rateLimit?.maxRequests,
      tokens: rateLimit?.maxTokens,
      concurrent: rateLimit?.maxConcurrent,
    };
    const found: AppliedLimit[] =
      budget === undefined ? [] : [{ bindingId, dimension: "money", limit: 0, isShadow, terms: "" }];
    for (const dimension of ["requests", "tokens", "concurrent"] as const) {
      const limit = maxima[dimension];
      if (limit !== undefined) found.push({ bindingId, dimension, limit: Number(limit), isShadow, terms: "" });
    }
    return found;
  });
  const isCentral = isAnyCentral(bindings);
  return { limits, isCentral, name: limits.map(({ bindingId, dimension }) => `${bindingId} ${dimension}`).join() };
}

function toPolicyRequest(request: Parameters<GatewaySessions["acquire"]>[1][number]["counters"][number]) {
  const { bindingId, dimension, granted, returned, needed, wanted, free, doubt, unused } = request;
  return {
    bindingId: requireId("bnd", bindingId),
    dimension,
    granted: BigInt(granted),
    returned: BigInt(returned),
    needed: BigInt(needed),
    wanted: BigInt(wanted),
    free: BigInt(free),
    doubt: BigInt(doubt),
    rateReturns: unused.map(({ amount, countedAtMs }) => ({ amount: BigInt(amount), countedAtMs })),
  };
}

function toPolicyReport({ costNanoUsd: costNano, tokens, slices, ...key }: PendingSettlement) {
  const { namespaceId, keyId, requestId } = key;
  return {
    namespaceId,
    keyId,
    requestId,
    sessionId: slices?.sessionId,
    limitSet: slices?.limitSet ?? 0,
    countedAtMs: slices?.countedAt?.getTime(),
    boundNano: slices?.boundNanoUsd ?? 0n,
    tokensMax: BigInt(slices?.tokensMax ?? 0),
    end: { kind: "settled" as const, costNano, tokens: BigInt(tokens) },
  };
}
