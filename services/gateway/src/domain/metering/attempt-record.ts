import type { RequestContext } from "../request-context.ts";
import type { TokenBounds } from "../request/token-bounds.ts";
import type { BoundedHop } from "./charge.ts";
import type { Attempt } from "./receipt.ts";
import type { RequestFacts } from "./request-facts.ts";

/** Model that a request may go to, and by which its answer is charged. */
export interface ReservedHop extends BoundedHop, Pick<RequestContext, "billedModelFor"> {}

/** The part of a request context that its attempts are recorded by. */
type AttemptedRequest = Pick<RequestContext, "facts" | "model" | "billedModelFor" | "timings">;

/** Attempts of one request: the failed ones, and the one that is under way or was the last. */
export class AttemptRecord {
  readonly #request: AttemptedRequest;
  readonly #failed: Attempt[] = [];
  #current: Pick<RequestContext, "model" | "billedModelFor">;
  #granted: TokenBounds | undefined;

  constructor(request: AttemptedRequest) {
    this.#request = request;
    this.#current = request;
  }

  /** Model by which the answer is charged: that of the last attempt, and of the request before there is one. */
  get current(): Pick<RequestContext, "model" | "billedModelFor"> {
    return this.#current;
  }

  /** Bounds that the last attempt was sent with; undefined before there is one. */
  get granted(): TokenBounds | undefined {
    return this.#granted;
  }

  /** Attempts that failed, without the last one. */
  get failed(): readonly Attempt[] {
    return this.#failed;
  }

  begin(hop: Pick<RequestContext, "model" | "billedModelFor">, granted: TokenBounds): void {
    this.#current = hop;
    this.#granted = granted;
  }

  /** Ends the current attempt, which failed, and after which another follows. */
  addFailed(outcome: Pick<Attempt, "status" | "errorCode">): void {
    this.#failed.push(this.#attemptOf(outcome));
  }

  /** All attempts of a request that took several; none if it took one, because its row has the same facts. */
  allWith({ status, errorCode }: Pick<Attempt, "status" | "errorCode">): readonly Attempt[] {
    return this.#failed.length === 0 ? [] : [...this.#failed, this.#attemptOf({ status, errorCode })];
  }

  /** Facts of the settlement, which name the model of the last attempt. */
  settledFacts(): RequestFacts {
    const { facts } = this.#request;
    const { id: model, provider } = this.#current.model;
    return model === facts.model && provider === facts.provider ? facts : { ...facts, model, provider };
  }

  #attemptOf({ status, errorCode }: Pick<Attempt, "status" | "errorCode">): Attempt {
    const { id: model, provider } = this.#current.model;
    return { provider, model, status, errorCode, ...this.#request.timings.attempt };
  }
}
