import {
  compileRules,
  compose,
  appliesIn,
  type Direction,
  type EffectiveGuardrail,
  MAX_STEPS,
  type TextPattern,
  type TextRules,
  TooManyPatterns,
  Work,
  type WorkMeter,
} from "@routeplane/guardrails";
import type { AppliedGuardrail, GuardrailDirectory } from "../ports/guardrail-directory.ts";
import type { CallingKey } from "../ports/key-verifier.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";

/** Rule that a denial by a content pattern names. */
export const CONTENT_RULE = "guardrail.content_patterns";

/** Content pattern that applies, and its binding. */
export interface GuardPattern extends TextPattern {
  readonly name: string;
  readonly bindingId: string;
}

/** Compiled content patterns of one direction. */
export type GuardRules = TextRules<GuardPattern>;

/** Compiled content patterns by direction; undefined for a direction without any. */
export interface DirectionRules {
  readonly request: GuardRules | undefined;
  readonly response: GuardRules | undefined;
}

/** Guardrails that apply to a key, composed and compiled. Immutable, and shared by the requests of all keys that they apply to. */
export interface Guard {
  /** Composition of the enforced guardrails. */
  readonly effective: EffectiveGuardrail;
  /** Guardrails in shadow mode, each judged alone. */
  readonly shadows: readonly { readonly applied: AppliedGuardrail; readonly effective: EffectiveGuardrail }[];
  /** Finds the guardrail of a binding. @throws Error for an unknown binding */
  sourceOf(bindingId: string): AppliedGuardrail;
  /** Content patterns of the enforced guardrails. @throws TooManyPatterns if they are more than are run for one request */
  rules(): DirectionRules | Promise<DirectionRules>;
  /** Content patterns of the guardrails in shadow mode; none if they are more than are run for one request. */
  shadowRules(): DirectionRules | Promise<DirectionRules>;
  /**
   * Creates the budget of judging the texts of one request, or of one answer.
   *
   * @param signal stops the judging once it is aborted
   * @param meter budget of the key
   */
  createWork(signal: CancelSignal, meter: WorkMeter): Work;
}

/** True if a guardrail, enforced or in shadow mode, has a rule for content that cannot be inspected. */
export function inspects({ effective, shadows }: Guard, direction: Direction): boolean {
  const isInspected = ({ uninspectable }: EffectiveGuardrail): boolean => uninspectable[direction] !== undefined;
  return isInspected(effective) || shadows.some((shadow) => isInspected(shadow.effective));
}

/** Finds the guardrails of a key, without a promise while they are cached. @throws DomainError UNAVAILABLE if they are not known */
export type GuardOf = (caller: CallingKey) => Guard | Promise<Guard>;

/**
 * Creates a source of guards. A guard is cached for as long as the directory answers with the same array.
 *
 * @param maxSteps bound of judging the texts of one request
 * @returns a function from a key to its guard, which throws DomainError UNAVAILABLE if the guardrails are not known
 */
export function createGuards(directory: GuardrailDirectory, maxSteps: number = MAX_STEPS): GuardOf {
  const guards = new WeakMap<readonly AppliedGuardrail[], Guard>();
  const guardBy = (applied: readonly AppliedGuardrail[]): Guard => {
    const known = guards.get(applied);
    if (known !== undefined) return known;
    const guard = guardOf(applied, maxSteps);
    guards.set(applied, guard);
    return guard;
  };
  return (caller) => {
    const applied = directory.listApplied(caller);
    return applied instanceof Promise ? applied.then(guardBy) : guardBy(applied);
  };
}

function guardOf(all: readonly AppliedGuardrail[], maxSteps: number): Guard {
  const enforced = all.filter(({ mode }) => mode === "enforce");
  const shadows = all.filter(({ mode }) => mode === "shadow");
  const composed = (guardrails: readonly AppliedGuardrail[]) =>
    compose(guardrails.map(({ bindingId, spec }) => ({ source: bindingId, spec })));
  const effective = composed(enforced);
  const byBinding = new Map(all.map((applied) => [applied.bindingId, applied]));
  return {
    effective,
    shadows: shadows.map((applied) => ({ applied, effective: composed([applied]) })),
    sourceOf(bindingId) {
      const applied = byBinding.get(bindingId);
      if (applied === undefined) throw new Error(`no guardrail of ${bindingId} applies`);
      return applied;
    },
    rules: once(() => directionRules(effective)),
    shadowRules: once(() => directionRules(composed(shadows)).catch(noRulesIfTooMany)),
    createWork: (signal, meter) => new Work(maxSteps, signal, meter),
  };
}

async function directionRules({ contentPatterns }: EffectiveGuardrail): Promise<DirectionRules> {
  const patterns = (direction: Direction): readonly GuardPattern[] =>
    contentPatterns
      .filter(({ value }) => appliesIn(direction, value))
      .map(({ value: { name, pattern, action }, sources: [bindingId = ""] }) => ({ name, pattern, action, bindingId }));
  const compiled = async (rules: readonly GuardPattern[]) => (rules.length === 0 ? undefined : compileRules(rules));
  return { request: await compiled(patterns("request")), response: await compiled(patterns("response")) };
}

/** Handles too many patterns in shadow mode: none is run. */
function noRulesIfTooMany(error: unknown): DirectionRules {
  if (error instanceof TooManyPatterns) return { request: undefined, response: undefined };
  throw error;
}

/** Memoizes the value of a function, or its promise until it resolves; also a promise that rejects. */
function once<T>(make: () => Promise<T>): () => T | Promise<T> {
  let made: T | Promise<T> | undefined;
  return () => {
    if (made !== undefined) return made;
    const making = make();
    made = making;
    making.then(
      (value) => (made = value),
      () => {},
    );
    return making;
  };
}
