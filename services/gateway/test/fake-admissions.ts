import {
  endBudgetReservation,
  endRateLimitReservation,
  decideAdmission,
  type Limits,
  EMPTY_COUNTER,
  addReservation,
  tightestLimitsOf,
} from "@routeplane/admission";
import { DomainError } from "@routeplane/domain";
import type {
  AdmissionDecision,
  AdmissionRequest,
  Admissions,
  ReservationKey,
  RateLimitState,
  SettledAmounts,
} from "../src/domain/ports/admissions.ts";
import { unavailable } from "./unavailable.ts";

/** Fake `Admissions` with one binding for all callers, by the arithmetic of the policy service. Nothing expires in it. */
export interface FakeAdmissions extends Admissions {
  readonly spentNano: bigint;
  readonly reservedNano: bigint;
  /** Arguments of every `settle` and `release`, in order. */
  readonly closed: readonly { readonly tokens?: number; readonly neverSent?: boolean }[];
  /** Number of calls of each operation. */
  readonly calls: Readonly<Record<"admit" | "settle" | "release", number>>;
  /** Makes every call fail as UNAVAILABLE while it is true. */
  isDown: boolean;
}

/** Record of an admitted request. */
interface FakeReservation {
  state: "open" | "settled" | "voided";
  readonly decision: Extract<AdmissionDecision, { admitted: true }>;
  readonly reservedNano: bigint;
  readonly tokens: bigint;
  readonly atMs: number;
  readonly idempotencyName: string | undefined;
}

/** Fake `Admissions` with a budget of window `total` and no other limit. */
export function fakeBudget(limitNano: bigint): FakeAdmissions {
  return fakeAdmissions({ budget: { window: "total", limitNano } });
}

/** @param shadow true if the binding is in shadow mode */
export function fakeAdmissions(limits: Limits, shadow = false): FakeAdmissions {
  const reservations = new Map<string, FakeReservation>();
  const calls = { admit: 0, settle: 0, release: 0 };
  const closed: { tokens?: number; neverSent?: boolean }[] = [];
  const binding = { limits, counter: EMPTY_COUNTER, shadow };
  const source = { policyId: "pol_1", bindingId: "bnd_1" };
  let spentNano = 0n;

  const ratesAt = (atMs: number) => {
    const { budgetRemainingNano, requests, tokens } = tightestLimitsOf([binding], atMs);
    const budget = budgetRemainingNano !== undefined && {
      budgetRemainingMicroUsd: Number(budgetRemainingNano / 1_000n),
    };
    return { requests: stateOf(requests), tokens: stateOf(tokens), ...budget };
  };
  const answerAgain = ({ state, decision }: FakeReservation): AdmissionDecision => {
    if (state === "open") return { ...decision, shadowDenials: [], ...ratesAt(Date.now()) };
    throw new DomainError("failed_precondition", "STATE_CONFLICT", `this request is already ${state}`);
  };
  const requireUnused = (idempotencyName: string | undefined): void => {
    if (idempotencyName === undefined) return;
    for (const [name, reservation] of reservations) {
      if (reservation.idempotencyName !== idempotencyName || reservation.state === "voided") continue;
      const metadata = { request_id: name.split(" ").at(-1) ?? "" };
      throw new DomainError("already_exists", "IDEMPOTENCY_KEY_USED", "another request has it", { metadata });
    }
  };
  const end = (key: ReservationKey, state: "settled" | "voided", used: SettledAmounts, isUncounted = false): void => {
    const reservation = reservations.get(nameOf(key));
    if (reservation?.state !== "open") return;
    reservation.state = state;
    const { atMs } = reservation;
    const closing = {
      releaseNano: reservation.reservedNano,
      charge: { amount: used.costNanoUsd, atMs },
      tokens: { amount: BigInt(used.tokens) - reservation.tokens, atMs },
      requests: isUncounted ? { amount: -1n, atMs } : undefined,
      freesSlot: true,
    };
    spentNano += used.costNanoUsd;
    if (limits.budget) binding.counter = endBudgetReservation(binding.counter, closing, Date.now());
    if (limits.rateLimit) binding.counter = endRateLimitReservation(binding.counter, closing, Date.now());
  };

  return {
    calls,
    closed,
    isDown: false,
    get spentNano() {
      return spentNano;
    },
    get reservedNano() {
      return [...reservations.values()].reduce(
        (sum, { state, reservedNano }) => (state === "open" ? sum + reservedNano : sum),
        0n,
      );
    },
    async admit(request) {
      calls.admit++;
      if (this.isDown) throw unavailable("policy");
      const name = nameOf(keyOf(request));
      const known = reservations.get(name);
      if (known !== undefined) return answerAgain(known);
      const { price, inputTokensMax, outputTokensMax, choices, namespaceId, idempotencyKey } = request;
      const { refuseRatherThanLower } = request;
      const { keyId } = keyOf(request);
      const idempotencyName = idempotencyKey && `${namespaceId} ${keyId} ${idempotencyKey}`;
      requireUnused(idempotencyName);
      const atMs = Date.now();
      const bounds = { inputTokensMax: BigInt(inputTokensMax), outputTokensMax: BigInt(outputTokensMax) };
      const decision = decideAdmission(
        { price, ...bounds, choices: BigInt(choices), refuseRatherThanLower },
        [binding],
        atMs,
      );
      const shadowDenials = decision.shadowDenials.map(({ rule }) => ({ ...source, rule }));
      if (decision.outcome === "deny") {
        const { rule, retryAtMs, limit, remaining, needed } = decision;
        const amounts = { limit, remaining, needed };
        const retryAt = retryAtMs === undefined ? undefined : new Date(retryAtMs);
        const principal = { principalType: "namespace", principalId: namespaceId } as const;
        const denial = { ...source, policyName: "cap", ...principal, rule, retryAt, message: "does not fit", amounts };
        return { shadowDenials, ...ratesAt(atMs), admitted: false, denial };
      }
      for (const reserving of decision.bindings) {
        reserving.counter = addReservation(reserving.counter, limits, decision, atMs);
      }
      const isCounted = limits.budget !== undefined || limits.rateLimit !== undefined;
      const isRecorded = isCounted || idempotencyKey !== undefined;
      const admitted = {
        shadowDenials,
        ...ratesAt(atMs),
        admitted: true as const,
        outputTokensMax: Number(decision.outputTokensMax),
        reservedNanoUsd: limits.budget === undefined ? 0n : decision.reservedNano,
        expiresAt: isRecorded ? new Date(atMs + 900_000) : undefined,
      };
      const { reservedNano, tokens } = decision;
      if (isRecorded) {
        reservations.set(name, { state: "open", decision: admitted, reservedNano, tokens, atMs, idempotencyName });
      }
      return admitted;
    },
    async settle(key, used) {
      calls.settle++;
      if (this.isDown) throw unavailable("policy");
      closed.push({ tokens: used.tokens });
      end(key, "settled", used);
    },
    async release(key, neverSent) {
      calls.release++;
      if (this.isDown) throw unavailable("policy");
      closed.push({ neverSent });
      end(key, "voided", { costNanoUsd: 0n, tokens: 0 }, neverSent);
    },
  };
}

function keyOf({ namespaceId, lineage, requestId }: AdmissionRequest): ReservationKey {
  const keyId = lineage.at(-1);
  if (keyId === undefined) throw new Error("the lineage is empty");
  return { namespaceId, keyId, requestId };
}

/** Name of a reservation; it ends with the request id. */
function nameOf({ namespaceId, keyId, requestId }: ReservationKey): string {
  return `${namespaceId} ${keyId} ${requestId}`;
}

function stateOf(state: ReturnType<typeof tightestLimitsOf>["requests"]): RateLimitState | undefined {
  if (state === undefined) return undefined;
  return { limit: Number(state.limit), remaining: Number(state.remaining), resetsAt: new Date(state.resetsAtMs) };
}
