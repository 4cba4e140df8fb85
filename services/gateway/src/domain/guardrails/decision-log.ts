import type { Redactions } from "@routeplane/guardrails";
import type { Denial } from "../errors/denial.ts";
import { CONTENT_RULE, type Guard, type GuardPattern } from "./guard.ts";
import type { ShadowDenial } from "../ports/admissions.ts";
import type { Decisions, GuardrailDecision } from "../ports/usage-log.ts";

type Target = "request" | "response";

/** What policies decided about one request, beyond whether they admit it. */
export class DecisionLog implements Decisions {
  readonly #guard: Guard;
  readonly #shadowDenials = new Map<string, ShadowDenial>();
  readonly #guardrails = new Map<string, GuardrailDecision>();

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  /** What policies in shadow mode would have refused: each rule of each binding once. */
  get shadowDenials(): readonly ShadowDenial[] {
    return [...this.#shadowDenials.values()];
  }

  /** What content patterns did: each pattern of each binding once, the one that blocked first. */
  get guardrailDecisions(): readonly GuardrailDecision[] {
    return [...this.#guardrails.values()].toSorted((one, other) => Number(isBlock(other)) - Number(isBlock(one)));
  }

  addShadow({ policyId, bindingId, rule }: ShadowDenial): void {
    this.#shadowDenials.set(`${bindingId} ${rule}`, { policyId, bindingId, rule });
  }

  /** A rule of a guardrail in shadow mode would have refused. */
  noteShadow(bindingId: string, rule: string): void {
    const { policyId } = this.#guard.sourceOf(bindingId);
    this.addShadow({ policyId, bindingId, rule });
  }

  /** What was taken out of one text, or out of one that came in pieces. */
  redacted(target: Target, redactions: readonly Redactions<GuardPattern>[]): void {
    for (const { pattern, count } of redactions) {
      const { bindingId, name } = pattern;
      const { policyId } = this.#guard.sourceOf(bindingId);
      const known = this.#decisionOf(policyId, bindingId, name);
      if (target === "request") this.#keep({ ...known, requestRedactions: known.requestRedactions + count });
      else this.#keep({ ...known, responseRedactions: known.responseRedactions + count });
    }
  }

  blocked(target: Target, { policyId, bindingId, pattern = "" }: Denial): void {
    this.#keep({ ...this.#decisionOf(policyId, bindingId, pattern), blocked: target });
  }

  #decisionOf(policyId: string, bindingId: string, pattern: string): GuardrailDecision {
    const none = { requestRedactions: 0, responseRedactions: 0, blocked: undefined };
    return (
      this.#guardrails.get(keyOf({ bindingId, pattern })) ?? {
        policyId,
        bindingId,
        rule: CONTENT_RULE,
        pattern,
        ...none,
      }
    );
  }

  #keep(decision: GuardrailDecision): void {
    this.#guardrails.set(keyOf(decision), decision);
  }
}

function keyOf({ bindingId, pattern }: Pick<GuardrailDecision, "bindingId" | "pattern">): string {
  return `${bindingId} ${pattern}`;
}

function isBlock({ blocked }: GuardrailDecision): boolean {
  return blocked !== undefined;
}
