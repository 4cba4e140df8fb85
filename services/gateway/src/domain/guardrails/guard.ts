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

/** Rule that a denial by a content pattern names. */
export const CONTENT_RULE = "guardrail.content_patterns";

/** A content pattern that applies, and the binding that it comes from. */
export interface GuardPattern extends TextPattern {
  readonly name: string;
  readonly bindingId: string;
}

export type GuardRules = TextRules<GuardPattern>;

/** Patterns that are ready to run; undefined where there are none. */
export interface DirectionRules {
  readonly request: GuardRules | undefined;
  readonly response: GuardRules | undefined;
}

/** All guardrails that apply to a key, ready to judge. */
export interface Guard {
  readonly effective: EffectiveGuardrail;
  /** Those in shadow mode, each by itself. */
  readonly shadows: readonly { readonly applied: AppliedGuardrail; readonly effective: EffectiveGuardrail }[];
  /** Where a rule comes from. */
  sourceOf(bindingId: string): AppliedGuardrail;
  /** @throws TooManyPatterns if they are beyond what is run for one request */
  rules(): Promise<DirectionRules>;
  shadowRules(): Promise<DirectionRules>;
  /**
   * The budget of judging the texts of one request, or of one answer.
   *
   * @param signal stops the judging once it is aborted
   * @param meter the budget of the key
   */
  work(signal: AbortSignal, meter: WorkMeter): Work;
}

/** True if a guardrail, enforced or in shadow mode, has a rule for content that cannot be inspected. */
export function inspects({ effective, shadows }: Guard, direction: Direction): boolean {
  return [effective, ...shadows.map((each) => each.effective)].some(
    (each) => each.uninspectable[direction] !== undefined,
  );
}

/**
 * The guard of each calling key. What is composed and compiled is kept for as long as the directory answers with the same
 * array.
 *
 * @param maxSteps what judging the texts of a request may take
 * @returns a function that throws DomainError UNAVAILABLE if it is not known what applies
 */
export function createGuards(
  directory: GuardrailDirectory,
  maxSteps: number = MAX_STEPS,
): (caller: CallingKey) => Promise<Guard> {
  const guards = new WeakMap<readonly AppliedGuardrail[], Guard>();
  return async (caller) => {
    const applied = await directory.of(caller);
    const guard = guards.get(applied) ?? guardOf(applied, maxSteps);
    guards.set(applied, guard);
    return guard;
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
    shadowRules: once(() => directionRules(composed(shadows)).catch(watchNothing)),
    work: (signal, meter) => new Work(maxSteps, signal, meter),
  };
}

async function directionRules({ contentPatterns }: EffectiveGuardrail): Promise<DirectionRules> {
  const patterns = (direction: Direction): readonly GuardPattern[] =>
    contentPatterns
      .filter(({ value }) => appliesIn(direction, value))
      .map(({ value: { name, pattern, action }, sources: [bindingId = ""] }) => ({ name, pattern, action, bindingId }));
  const compiled = async (all: readonly GuardPattern[]) => (all.length === 0 ? undefined : compileRules(all));
  return { request: await compiled(patterns("request")), response: await compiled(patterns("response")) };
}

/** More than can be run is refused where it is enforced, and not run where it is only watched. */
function watchNothing(error: unknown): DirectionRules {
  if (error instanceof TooManyPatterns) return { request: undefined, response: undefined };
  throw error;
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}
