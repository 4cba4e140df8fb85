import type {
  AdmissionDecision,
  AdmissionRequest,
  Admissions,
  LocalAdmissions,
  ReservationKey,
} from "../ports/admissions.ts";
import type { TokenCounter } from "../ports/token-counter.ts";
import type { OutboxOffset, UsageLog } from "../ports/usage-log.ts";
import type { RequestContext } from "../request-context.ts";
import { repetitionOf } from "../request/idempotency-key.ts";
import { type LooseBounds, tightenBounds, type TokenBounds } from "../request/token-bounds.ts";
import type { ReservedHop } from "./attempt-record.ts";
import { costBound, coveringBounds, reservedPrice } from "./charge.ts";

export interface AdmissionDependencies {
  /** Admission in this process; absent: the policy service admits every request. */
  readonly localAdmissions?: LocalAdmissions | undefined;
  readonly admissions: Admissions;
  readonly usageLog: UsageLog;
  readonly tokenCounter: TokenCounter;
}

/** Rules that deny whatever the bounds of a request are. */
const UNBOUNDED_RULES: ReadonlySet<string> = new Set(["rate_limit.max_requests", "rate_limit.max_concurrent"]);

/** Upper bounds of a request to its first model that are to be reserved. */
export type RequestedReservation = LooseBounds & Pick<AdmissionRequest, "choices" | "idempotencyKey">;

/** Bounds that are reserved, and the price that they are reserved at. */
type AdmissionBounds = TokenBounds & Pick<AdmissionRequest, "price">;

/** Decision on a request, and the bounds that it was made on. */
export interface DecidedAdmission {
  readonly bounds: TokenBounds;
  readonly decision: AdmissionDecision;
  /** Further models that the bounds cover. */
  readonly covered: readonly ReservedHop[];
}

/** Admission requests of one inference request: to this process, and to the policy service where it does not decide. */
export class AdmissionRequests {
  readonly #dependencies: AdmissionDependencies;
  readonly #request: Pick<RequestContext, "facts" | "caller" | "model">;
  readonly #key: ReservationKey;
  /** Release that was enqueued before the policy service was asked; undefined if it was not asked. */
  pendingRelease: OutboxOffset | undefined;

  constructor(dependencies: AdmissionDependencies, request: Pick<RequestContext, "facts" | "caller" | "model">) {
    this.#dependencies = dependencies;
    this.#request = request;
    const { namespaceId, keyId, requestId } = request.facts;
    this.#key = { namespaceId, keyId, requestId };
  }

  /** Decides on a request to its first model. A promise only where another process has to be asked. */
  decide(requested: RequestedReservation): DecidedAdmission | Promise<DecidedAdmission> {
    const request = this.#requestOf(requested, this.#boundsOf(requested), requested.loose !== undefined);
    const local = this.#dependencies.localAdmissions?.admit(request);
    const isDecided = local !== undefined && !(local instanceof Promise) && local.admitted;
    return isDecided
      ? { bounds: requested, decision: local, covered: [] }
      : this.#decideLater(requested, request, local);
  }

  /**
   * Decides on a request that may go to other models too, by bounds that cover all of them. If those do not fit, decides by the bounds of
   * the models that cost no more than the first, and then of the first alone. Only the final decision is recorded.
   */
  async decideForAny(requested: RequestedReservation, others: readonly ReservedHop[]): Promise<DecidedAdmission> {
    const first = { model: this.#request.model, bounds: requested };
    const cost = costBound(first.model, first.bounds);
    const cheap = others.filter(({ model, bounds }) => costBound(model, bounds) <= cost);
    for (const covered of cheap.length < others.length ? [others, cheap] : [others]) {
      if (covered.length === 0) break;
      const bounds = coveringBounds([first, ...covered]);
      const request = this.#requestOf(requested, bounds, true);
      const decision = await this.#ask(request, this.#dependencies.localAdmissions?.admit(request));
      if (decision.admitted) return { bounds, decision, covered };
      if (UNBOUNDED_RULES.has(decision.denial.rule)) return { bounds, decision, covered: [] };
    }
    return this.decide(requested);
  }

  /** Asks for an admission. If loose bounds are denied, counts the tokens and asks once more; the first denial is not recorded. */
  async #decideLater(
    requested: RequestedReservation,
    request: AdmissionRequest,
    local: LocalDecision,
  ): Promise<DecidedAdmission> {
    const isLoose = requested.loose !== undefined;
    const first = await this.#ask(request, local);
    const isFinal = first.admitted || !isLoose || UNBOUNDED_RULES.has(first.denial.rule);
    if (isFinal) return { bounds: requested, decision: first, covered: [] };
    const bounds = await tightenBounds(requested, this.#dependencies.tokenCounter);
    const tightened = this.#requestOf(requested, this.#boundsOf(bounds), false);
    const decision = await this.#ask(tightened, this.#dependencies.localAdmissions?.admit(tightened));
    return { bounds, decision, covered: [] };
  }

  /** Waits for the local decision, and asks the policy service if there is none. */
  async #ask(request: AdmissionRequest, local: LocalDecision): Promise<AdmissionDecision> {
    const decided = await local;
    if (decided !== undefined) return decided;
    const { localAdmissions, admissions, usageLog } = this.#dependencies;
    this.pendingRelease ??= usageLog.enqueueRelease(this.#key);
    const keep = localAdmissions?.ask(request);
    try {
      const decision = await admissions.admit(request);
      keep?.(decision);
      return decision;
    } catch (error) {
      throw repetitionOf(error) ?? error;
    }
  }

  /** Bounds of the first model, and its price. */
  #boundsOf({ inputTokensMax, outputTokensMax }: TokenBounds): AdmissionBounds {
    return { inputTokensMax, outputTokensMax, price: reservedPrice(this.#request.model, inputTokensMax) };
  }

  #requestOf(
    { choices, idempotencyKey }: RequestedReservation,
    { inputTokensMax, outputTokensMax, price }: AdmissionBounds,
    refuseRatherThanLower: boolean,
  ): AdmissionRequest {
    const { facts, caller } = this.#request;
    return {
      namespaceId: facts.namespaceId,
      requestId: facts.requestId,
      lineage: caller.lineage,
      price,
      inputTokensMax,
      outputTokensMax,
      choices,
      refuseRatherThanLower,
      idempotencyKey,
    };
  }
}

/** Answer of the admission in this process. */
type LocalDecision = ReturnType<LocalAdmissions["admit"]>;
