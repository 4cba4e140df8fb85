import { setImmediate } from "node:timers/promises";
import {
  addReservation,
  type Counter,
  EMPTY_COUNTER,
  endBudgetReservation,
  endRateLimitReservation,
  type LimitRule,
  type Limits,
  limitStatesOf,
  type ReservationEnd,
} from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import { compose, type EffectiveGuardrail, judgeModel, judgeStreaming, judgeTokens } from "@routeplane/guardrails";
import { guardrailOf, type PolicySpec } from "@routeplane/policy-spec";
import { limitsOf } from "../admission/applied-limits.ts";

/** Request of the request log, with its usage. */
export interface PastRequest {
  readonly keyId: Id<"key">;
  readonly provider: string;
  readonly model: string;
  readonly streamed: boolean;
  /** Input and output together. */
  readonly tokens: bigint;
  readonly costNano: bigint;
  /** Unix time in milliseconds, as `endedMs`. */
  readonly startedMs: number;
  /** Undefined while the request is running. */
  readonly endedMs: number | undefined;
}

/** Totals of simulated requests, and of those among them that the policy would have denied. */
export interface SimulationTotals {
  requests: number;
  denied: number;
  spendNano: bigint;
  deniedSpendNano: bigint;
}

export interface Simulation extends Readonly<SimulationTotals> {
  readonly byKey: ReadonlyMap<Id<"key">, Readonly<SimulationTotals>>;
  /** Number of denied requests by rule, as denials name it; a request counts for the first rule that denies it. */
  readonly byRule: ReadonlyMap<string, number>;
  /** Rules that cannot be simulated, because the request log lacks what they judge. */
  readonly notSimulated: readonly string[];
}

/** Number of steps, of some microseconds each, between two turns of the event loop. */
const STEPS_PER_TURN = 500;

/**
 * Replays requests against a policy, through the functions that decide on real ones, as if the policy had been bound to their
 * keys with nothing used before the first. A request reserves what it used, from its start to its end.
 *
 * @param signal stops the work once it is aborted
 * @throws the reason of the signal
 */
export async function simulate(
  spec: PolicySpec,
  requests: readonly PastRequest[],
  signal: AbortSignal,
): Promise<Simulation> {
  const limiter = createLimiter(limitsOf(spec) ?? {});
  const guardrailSpec = guardrailOf(spec) ?? {};
  const guardrail = compose([{ source: "", spec: guardrailSpec }]);
  const total = newTotals();
  const byKey = new Map<Id<"key">, SimulationTotals>();
  const byRule = new Map<string, number>();
  let steps = 0;
  for (const { request, ends } of timelineOf(requests)) {
    if (++steps % STEPS_PER_TURN === 0) await setImmediate();
    signal.throwIfAborted();
    if (ends) {
      limiter.end(request);
      continue;
    }
    const rule = violatedRule(guardrail, request) ?? limiter.exceededRule(request);
    if (rule === undefined) limiter.begin(request);
    else byRule.set(rule, (byRule.get(rule) ?? 0) + 1);
    const ofKey = byKey.get(request.keyId) ?? newTotals();
    byKey.set(request.keyId, ofKey);
    for (const totals of [total, ofKey]) count(totals, request, rule !== undefined);
  }
  const notSimulated = [
    ...(guardrailSpec.contentPatterns === undefined ? [] : ["guardrail.content_patterns"]),
    ...(guardrailSpec.uninspectable === undefined ? [] : ["guardrail.uninspectable"]),
    ...(guardrailSpec.serviceTierAllow === undefined ? [] : ["guardrail.service_tier_allow"]),
    ...(guardrailSpec.modalityAllow === undefined ? [] : ["guardrail.modality_allow"]),
    ...(guardrailSpec.hostedToolAllow === undefined ? [] : ["guardrail.hosted_tool_allow"]),
  ];
  return { ...total, byKey, byRule, notSimulated };
}

/** Starts and ends of requests in order of time; of the same moment, ends first. */
function timelineOf(requests: readonly PastRequest[]) {
  const starts = requests.map((request) => ({ request, ends: false, ms: request.startedMs }));
  const ends = requests.flatMap((request) => {
    if (request.endedMs === undefined) return [];
    return [{ request, ends: true, ms: endOf(request, request.endedMs) }];
  });
  return [...ends, ...starts].toSorted((a, b) => a.ms - b.ms);
}

/** End of a request, after its start even where the clock of the gateway was set back in between. */
function endOf({ startedMs }: PastRequest, endedMs: number): number {
  return Math.max(endedMs, startedMs + 1);
}

function violatedRule(guardrail: EffectiveGuardrail, request: PastRequest): string | undefined {
  const { provider, model: id, streamed, tokens } = request;
  const violation =
    judgeModel(guardrail, { provider, id }) ??
    judgeStreaming(guardrail, streamed) ??
    judgeTokens(guardrail, Number(tokens));
  return violation?.rule;
}

/** Counter of one binding over simulated time. */
function createLimiter(limits: Limits) {
  const running = new Set<PastRequest>();
  let counter: Counter = EMPTY_COUNTER;
  return {
    exceededRule({ costNano, tokens, startedMs }: PastRequest): LimitRule | undefined {
      const needed: Readonly<Record<LimitRule, bigint>> = {
        budget: costNano,
        "rate_limit.max_requests": 1n,
        "rate_limit.max_tokens": tokens,
        "rate_limit.max_concurrent": 1n,
      };
      return limitStatesOf(limits, counter, startedMs).find(({ rule, remaining }) => needed[rule] > remaining)?.rule;
    },

    begin(request: PastRequest): void {
      const { costNano: reservedNano, tokens, startedMs } = request;
      counter = addReservation(counter, limits, { reservedNano, tokens }, startedMs);
      running.add(request);
    },

    end(request: PastRequest): void {
      if (!running.delete(request)) return;
      const { costNano, startedMs, endedMs = startedMs } = request;
      const nowMs = endOf(request, endedMs);
      const end: ReservationEnd = {
        releaseNano: costNano,
        charge: { amount: costNano, atMs: nowMs },
        tokens: undefined,
        requests: undefined,
        freesSlot: true,
      };
      if (limits.budget !== undefined) counter = endBudgetReservation(counter, end, nowMs);
      if (limits.rateLimit !== undefined) counter = endRateLimitReservation(counter, end, nowMs);
    },
  };
}

function newTotals(): SimulationTotals {
  return { requests: 0, denied: 0, spendNano: 0n, deniedSpendNano: 0n };
}

function count(totals: SimulationTotals, { costNano }: PastRequest, isDenied: boolean): void {
  totals.requests++;
  totals.spendNano += costNano;
  if (!isDenied) return;
  totals.denied++;
  totals.deniedSpendNano += costNano;
}
