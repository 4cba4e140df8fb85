import { guardrailOf, type PolicySpec } from "@routeplane/policy-spec";
import { setImmediate } from "node:timers/promises";
import {
  endBudgetReservation,
  endRateLimitReservation,
  type ReservationEnd,
  type Counter,
  type LimitRule,
  type Limits,
  limitStatesOf,
  EMPTY_COUNTER,
  addReservation,
} from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import { compose, type EffectiveGuardrail, judgeModel, judgeStreaming, judgeTokens } from "@routeplane/guardrails";
import { limitsOf } from "../admission/applied-limits.ts";

/** A request that there was, and what it used. */
export interface PastRequest {
  readonly keyId: Id<"key">;
  readonly provider: string;
  readonly model: string;
  readonly streamed: boolean;
  /** Input and output together. */
  readonly tokens: bigint;
  readonly costNano: bigint;
  /** Milliseconds since the epoch, as the next one. */
  readonly startedMs: number;
  /** Undefined: it is still under way. */
  readonly endedMs: number | undefined;
}

/** Requests and those among them that would have been refused. */
export interface SimulationTotals {
  requests: number;
  denied: number;
  spendNano: bigint;
  deniedSpendNano: bigint;
}

export interface Simulation extends Readonly<SimulationTotals> {
  readonly byKey: ReadonlyMap<Id<"key">, Readonly<SimulationTotals>>;
  /** How many requests each rule would have refused, as denials name it; the first of several. */
  readonly byRule: ReadonlyMap<string, number>;
  /** Rules that past requests are too little known for. */
  readonly notSimulated: readonly string[];
}

/** After so many steps others have their turn: a step takes some microseconds. */
const STEPS_PER_TURN = 500;

/**
 * What a policy would have done to requests, through the functions that decide on real ones: as if it had been bound to whoever
 * made them, with nothing used before the first. A request needs just what it used, from its start to its end.
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
  const written = guardrailOf(spec) ?? {};
  const guardrail = compose([{ source: "", spec: written }]);
  const [total, byKey, byRule] = [newTotals(), new Map<Id<"key">, SimulationTotals>(), new Map<string, number>()];
  let steps = 0;
  for (const { request, ends } of inOrder(requests)) {
    if (++steps % STEPS_PER_TURN === 0) await setImmediate();
    signal.throwIfAborted();
    if (ends) {
      limiter.end(request);
      continue;
    }
    const rule = guardrailRule(guardrail, request) ?? limiter.refuses(request);
    if (rule === undefined) limiter.begin(request);
    else byRule.set(rule, (byRule.get(rule) ?? 0) + 1);
    const ofKey = byKey.get(request.keyId) ?? newTotals();
    byKey.set(request.keyId, ofKey);
    for (const tally of [total, ofKey]) count(tally, request, rule !== undefined);
  }
  const notSimulated = [
    ...(written.contentPatterns === undefined ? [] : ["guardrail.content_patterns"]),
    ...(written.uninspectable === undefined ? [] : ["guardrail.uninspectable"]),
  ];
  return { ...total, byKey, byRule, notSimulated };
}

/** Starts and ends of requests as they happened; of the same moment, ends first. */
function inOrder(requests: readonly PastRequest[]) {
  const starts = requests.map((request) => ({ request, ends: false, ms: request.startedMs }));
  const ends = requests.flatMap((request) => {
    if (request.endedMs === undefined) return [];
    // Its end comes after its start, whatever its clock said.
    return [{ request, ends: true, ms: Math.max(request.endedMs, request.startedMs + 1) }];
  });
  return [...ends, ...starts].toSorted((one, other) => one.ms - other.ms);
}

function guardrailRule(guardrail: EffectiveGuardrail, request: PastRequest): string | undefined {
  const { provider, model: id, streamed, tokens } = request;
  const violation =
    judgeModel(guardrail, { provider, id }) ??
    judgeStreaming(guardrail, streamed) ??
    judgeTokens(guardrail, Number(tokens));
  return violation?.rule;
}

/** One counter of one binding, over time. */
function createLimiter(limits: Limits) {
  const underWay = new Set<PastRequest>();
  let counter: Counter = EMPTY_COUNTER;
  return {
    refuses({ costNano, tokens, startedMs }: PastRequest): LimitRule | undefined {
      const needs: Readonly<Record<LimitRule, bigint>> = {
        budget: costNano,
        "rate_limit.max_requests": 1n,
        "rate_limit.max_tokens": tokens,
        "rate_limit.max_concurrent": 1n,
      };
      return limitStatesOf(limits, counter, startedMs).find(({ rule, remaining }) => needs[rule] > remaining)?.rule;
    },

    begin(request: PastRequest): void {
      const { costNano: reserveNano, tokens, startedMs } = request;
      counter = addReservation(counter, limits, { reservedNano: reserveNano, tokens }, startedMs);
      underWay.add(request);
    },

    end(request: PastRequest): void {
      if (!underWay.delete(request)) return;
      const { costNano, startedMs, endedMs = startedMs } = request;
      const nowMs = Math.max(endedMs, startedMs + 1);
      const charge = { amount: costNano, atMs: nowMs };
      const end: ReservationEnd = {
        releaseNano: costNano,
        charge,
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

function count(tally: SimulationTotals, { costNano }: PastRequest, refused: boolean): void {
  tally.requests++;
  tally.spendNano += costNano;
  if (!refused) return;
  tally.denied++;
  tally.deniedSpendNano += costNano;
}
