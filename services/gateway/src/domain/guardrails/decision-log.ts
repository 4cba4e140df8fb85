import type { Redactions } from "@routeplane/guardrails";
import type { Denial } from "../errors/denial.ts";
import { CONTENT_RULE, type Guard, type GuardPattern } from "./guard.ts";
import type { ShadowDenial } from "../ports/admissions.ts";
import type { Decisions, GuardrailDecision } from "../ports/usage-log.ts";

type Target = "request" | "response";

/** Decisions of policies about one request, beyond its admission. Not shared between requests. */
export class DecisionLog implements Decisions {
  readonly #guard: Guard;
  readonly #shadowDenials = new Map<string, ShadowDenial>();
  readonly #guardrails = new Map<string, GuardrailDecision>();

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  /** Shadow denials: each rule of each binding once. */
  get shadowDenials(): readonly ShadowDenial[] {
    return [...this.#shadowDenials.values()];
  }

  /** Effects of content patterns: each pattern of each binding once, the one that blocked first. */
  get guardrailDecisions(): readonly GuardrailDecision[] {
    return [...this.#guardrails.values()].toSorted((first, second) => Number(isBlock(second)) - Number(isBlock(first)));
  }

  addShadow({ policyId, bindingId, rule }: ShadowDenial): void {
    this.#shadowDenials.set(`${bindingId} ${rule}`, { policyId, bindingId, rule });
  }

  /** Adds a shadow denial by a rule of a guardrail. */
  addShadowViolation(bindingId: string, rule: string): void {
    const { policyId } = this.#guard.sourceOf(bindingId);
    this.addShadow({ policyId, bindingId, rule });
  }

  /** Adds the redactions of one text. */
  addRedactions(target: Target, redactions: readonly Redactions<GuardPattern>[]): void {
    for (const { pattern, count } of redactions) {
      const { bindingId, name } = pattern;
      const { policyId } = this.#guard.sourceOf(bindingId);
      const known = this.#decisionOf(policyId, bindingId, name);
      if (target === "request") this.#store({ ...known, requestRedactions: known.requestRedactions + count });
      else this.#store({ ...known, responseRedactions: known.responseRedactions + count });
    }
  }

  /** Adds a block by a content pattern. */
  addBlock(target: Target, { policyId, bindingId, pattern = "" }: Denial): void {
    this.#store({ ...this.#decisionOf(policyId, bindingId, pattern), blocked: target });
  }

  #decisionOf(policyId: string, bindingId: string, pattern: string): GuardrailDecision {
    const unused = { requestRedactions: 0, responseRedactions: 0, blocked: undefined };
    return (
      this.#guardrails.get(keyOf({ bindingId, pattern })) ?? {
        policyId,
        bindingId,
        rule: CONTENT_RULE,
        pattern,
        ...unused,
      }
    );
  }

  #store(decision: GuardrailDecision): void {
    this.#guardrails.set(keyOf(decision), decision);
  }
}

function keyOf({ bindingId, pattern }: Pick<GuardrailDecision, "bindingId" | "pattern">): string {
  return `${bindingId} ${pattern}`;
}

function isBlock({ blocked }: GuardrailDecision): boolean {
  return blocked !== undefined;
}
