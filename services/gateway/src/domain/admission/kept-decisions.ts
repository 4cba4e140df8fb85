/**
 * Decisions of the policy service that are kept for a moment for other requests on the same limits: refusals, and shadow bindings that are
 * used up. So a flood of requests that do not fit costs the policy service one call now and then, not one each.
 *
 * A firm refusal is repeated to requests for which the policy service would give the same one, with the same text, headers and retry time:
 * those with the same bounds and, if no requests or no slots are left, those with no larger bounds. It is kept for 250 ms at most. It is
 * forgotten once this process hears of a change of the limits, or has reported what may have made it fit, even during the call. Requests
 * that a shadow binding would deny are admitted on the slices of the other limits meanwhile, and one of them asks again every 250 ms.
 */
import type { Clock, Id } from "@routeplane/domain";
import type { AdmissionDecision, AdmissionRequest, ShadowDenial } from "../ports/admissions.ts";
import type { AppliedLimits } from "../ports/limit-directory.ts";

/** Time for which a decision is kept. */
const KEPT_MS = 250;
/** Maximum number of decisions that are kept for the same limits; beyond it the older ones are forgotten. */
const MAX_KEPT = 16;
/** Number of namespaces beyond which all kept decisions are forgotten. */
const MAX_NAMESPACES = 10_000;
/** Rules that deny whatever the bounds of a request are. */
const UNBOUNDED_RULES: ReadonlySet<string> = new Set(["rate_limit.max_requests", "rate_limit.max_concurrent"]);

type Denied = Extract<AdmissionDecision, { admitted: false }>;
type Bounds = Omit<AdmissionRequest, "namespaceId" | "requestId" | "lineage" | "idempotencyKey">;

interface KeptRefusal {
  readonly bounds: Bounds;
  readonly decision: Denied;
}

/** Shadow bindings that are used up, and the limits without them. */
export interface UsedUpShadows {
  readonly denials: readonly ShadowDenial[];
  readonly others: AppliedLimits;
}

/** Decision with the time until which it is kept, and the number of `free` calls before the policy service was asked for it. */
type Kept<T> = T & { readonly untilMs: number; readonly asOf: number };

interface KeptOfLimits {
  refusals: readonly Kept<KeptRefusal>[];
  shadows: Kept<UsedUpShadows & { readonly bounds: Bounds }> | undefined;
  /** Limits without some of the bindings, by name: the same object each time. */
  readonly others: Map<string, AppliedLimits>;
}

/** Numbers of the last `free` calls of a namespace. */
interface Freed {
  readonly any: number;
  /** Number of the last call that may have freed a request of a rate limit. */
  readonly requests: number;
}

export class KeptDecisions {
  /** Decisions by the limits themselves: after a change they are another object. */
  readonly #kept = new WeakMap<AppliedLimits, KeptOfLimits>();
  readonly #freed = new Map<Id<"ns">, Freed>();
  /** Numbers for namespaces that are not in the map. */
  #freedElsewhere: Freed = { any: 0, requests: 0 };
  #freeCount = 0;
  readonly #elapsed: () => number;
  readonly #clock: Clock;

  /** @param elapsed clock of elapsed time @param clock clock of the times of retry */
  constructor(elapsed: () => number, clock: Clock) {
    this.#elapsed = elapsed;
    this.#clock = clock;
  }

  /** Refusal that the policy service would give to this request too; undefined if it has to be asked. */
  refusalOf(limits: AppliedLimits, request: AdmissionRequest): Denied | undefined {
    const refusals = this.#kept.get(limits)?.refusals ?? [];
    return refusals.find(
      (kept) => this.#isGood(kept, request.namespaceId, [kept.decision.denial]) && isSameFor(request, kept),
    )?.decision;
  }

  /**
   * Shadow bindings that would deny the request; undefined if none is known to. Once in a while it is undefined for one request, which then
   * finds out whether the bindings would still deny it; others do not wait for it.
   */
  usedUpShadowsOf(limits: AppliedLimits, request: AdmissionRequest): UsedUpShadows | undefined {
    const kept = this.#kept.get(limits);
    const shadows = kept?.shadows;
    if (kept === undefined || shadows === undefined) return undefined;
    // Loose bounds are tightened before a shadow binding denies them.
    const isDenied = !request.refuseRatherThanLower && isNoLarger(shadows.bounds, request);
    if (!isDenied && !shadows.denials.every(isUnbounded)) return undefined;
    if (this.#isGood(shadows, request.namespaceId, shadows.denials)) return shadows;
    kept.shadows = { ...shadows, untilMs: this.#elapsed() + KEPT_MS, asOf: this.#freeCount };
    return undefined;
  }

  /** Notes that a request was admitted under all of these limits: no shadow binding would deny one that is as large. */
  noteShadowsFit(limits: AppliedLimits, request: AdmissionRequest): void {
    const kept = this.#kept.get(limits);
    if (kept?.shadows !== undefined && isNoLarger(kept.shadows.bounds, request)) kept.shadows = undefined;
  }

  /** Called before the policy service is asked. @returns function that keeps its decision, if it is one to keep */
  ask(limits: AppliedLimits, request: AdmissionRequest): (decision: AdmissionDecision) => void {
    const asOf = this.#freeCount;
    return (decision) => {
      const { shadowDenials } = decision;
      if (!decision.admitted && decision.denial.isFirm !== true) return;
      if (decision.admitted && shadowDenials.length === 0) return this.noteShadowsFit(limits, request);
      const kept = this.#kept.get(limits) ?? { refusals: [], shadows: undefined, others: new Map() };
      this.#kept.set(limits, kept);
      const nowMs = this.#elapsed();
      if (decision.admitted) {
        const others = withoutBindings(limits, shadowDenials, kept.others);
        kept.shadows = { denials: shadowDenials, others, bounds: request, untilMs: nowMs + KEPT_MS, asOf };
      } else {
        const others = kept.refusals.filter(
          ({ untilMs, ...refusal }) => nowMs < untilMs && !isSameFor(request, refusal),
        );
        // From its time of retry on the request fits.
        const { retryAt } = decision.denial;
        const leftMs = retryAt === undefined ? KEPT_MS : Math.min(KEPT_MS, retryAt.getTime() - this.#clock());
        const refusal = { bounds: request, decision, untilMs: nowMs + leftMs, asOf };
        kept.refusals = [refusal, ...others].slice(0, MAX_KEPT);
      }
    };
  }

  /** Notes that the policy service has freed something of the limits of a namespace. @param ofRequests true if also of limits of requests */
  free(namespaceId: Id<"ns">, ofRequests: boolean): void {
    const any = ++this.#freeCount;
    const requests = ofRequests ? any : (this.#freed.get(namespaceId) ?? this.#freedElsewhere).requests;
    if (this.#freed.size >= MAX_NAMESPACES) {
      this.#freed.clear();
      this.#freedElsewhere = { any, requests: any };
    }
    this.#freed.set(namespaceId, { any, requests });
  }

  #isGood(
    { untilMs, asOf }: Kept<unknown>,
    namespaceId: Id<"ns">,
    denials: readonly Pick<ShadowDenial, "rule">[],
  ): boolean {
    const freed = this.#freed.get(namespaceId) ?? this.#freedElsewhere;
    const isOfRequests = denials.every(({ rule }) => rule === "rate_limit.max_requests");
    return this.#elapsed() < untilMs && (isOfRequests ? freed.requests : freed.any) <= asOf;
  }
}

function isUnbounded({ rule }: Pick<ShadowDenial, "rule">): boolean {
  return UNBOUNDED_RULES.has(rule);
}

/** True if the policy service would refuse the request with the same words. */
function isSameFor(request: Bounds, { bounds, decision }: KeptRefusal): boolean {
  if (request.refuseRatherThanLower && !bounds.refuseRatherThanLower) return false;
  // Of several limits the one that frees last is named: for a smaller request all others free no later.
  const isSmallerToo = isUnbounded(decision.denial) && decision.shadowDenials.length === 0;
  if (isSmallerToo) return isNoLarger(request, bounds);
  const isSameMode = request.refuseRatherThanLower === bounds.refuseRatherThanLower;
  return isSameMode && isNoLarger(request, bounds) && isNoLarger(bounds, request);
}

/** True if no amount that limits count is larger. */
function isNoLarger(a: Bounds, b: Bounds): boolean {
  return (
    a.inputTokensMax <= b.inputTokensMax &&
    a.outputTokensMax <= b.outputTokensMax &&
    a.choices <= b.choices &&
    a.price.inputPicoUsd <= b.price.inputPicoUsd &&
    a.price.outputPicoUsd <= b.price.outputPicoUsd &&
    (a.price.requestPicoUsd ?? 0n) <= (b.price.requestPicoUsd ?? 0n)
  );
}

function withoutBindings(
  { limits, isCentral }: AppliedLimits,
  denials: readonly ShadowDenial[],
  known: Map<string, AppliedLimits>,
): AppliedLimits {
  const left = limits.filter((limit) => !denials.some(({ bindingId }) => bindingId === limit.bindingId));
  const name = left.map(({ bindingId, dimension }) => `${bindingId} ${dimension}`).join();
  const others = known.get(name) ?? { limits: left, isCentral, name };
  if (known.size >= MAX_KEPT) known.clear();
  known.set(name, others);
  return others;
}
