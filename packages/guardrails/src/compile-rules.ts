import { LazyDfa } from "./lazy-dfa.ts";
import { assertsEdges, compileProgram, type Program } from "./program.ts";
import type { PatternAction } from "./spec.ts";
import { yieldToEventLoop } from "./event-loop.ts";

/** Pattern that texts are matched against. */
export interface TextPattern {
  readonly pattern: string;
  readonly action: PatternAction;
}

/** Compiled patterns. `P` is the caller's own type for them. */
export interface TextRules<P extends TextPattern> {
  readonly groups: readonly PatternGroup<P>[];
  /** True if a match can depend on where a text or a line begins or ends. */
  readonly assertsEdges: boolean;
}

/** Patterns that share a DFA, which identifies each by its index. */
export interface PatternGroup<P extends TextPattern> {
  readonly patterns: readonly P[];
  readonly dfa: LazyDfa;
}

/**
 * Bounds on all guardrails together that apply to a request, in either mode. The policy service refuses a policy, an update or a binding
 * that would exceed a bound for some key. If a bound is exceeded nevertheless, e.g. by older policies, the request is refused without being
 * judged.
 */
export const MAX_COMPOSED_PATTERNS = 500;
export const MAX_COMPOSED_INSTRUCTIONS = 20_000;
/** Maximum size of the guardrails that apply to a request, as the policy service sends them: services read at most 4 MiB. */
export const MAX_COMPOSED_BYTES = 3 << 20;

/** Bounds of a group: larger groups scan a text less often, but their DFA has more states. */
const MAX_GROUP_INSTRUCTIONS = 1_500;
const MAX_GROUP_PATTERNS = 16;

export class TooManyPatterns extends Error {
  override readonly name = "TooManyPatterns";
}

/**
 * Compiles patterns, yielding to the event loop after each. Expensive: call it once for each set of patterns, not for each text.
 *
 * @throws TooManyPatterns beyond the bounds
 * @throws RE2JSException for a pattern that `patternFault` refuses
 */
export async function compileRules<P extends TextPattern>(patterns: readonly P[]): Promise<TextRules<P>> {
  if (patterns.length > MAX_COMPOSED_PATTERNS) {
    throw new TooManyPatterns(`${patterns.length} patterns apply, more than ${MAX_COMPOSED_PATTERNS}`);
  }
  const programs: Program[] = [];
  let instructions = 0;
  for (const { pattern } of patterns) {
    const program = compileProgram(pattern);
    instructions += program.instructions.length;
    if (instructions > MAX_COMPOSED_INSTRUCTIONS) {
      const message = `the patterns that apply compile to more than ${MAX_COMPOSED_INSTRUCTIONS} instructions`;
      throw new TooManyPatterns(message);
    }
    programs.push(program);
    await yieldToEventLoop();
  }
  return { groups: groupsOf(patterns, programs), assertsEdges: programs.some(assertsEdges) };
}

function groupsOf<P extends TextPattern>(
  patterns: readonly P[],
  programs: readonly Program[],
): readonly PatternGroup<P>[] {
  const groups: { readonly patterns: P[]; readonly programs: Program[]; instructions: number }[] = [];
  patterns.forEach((pattern, index) => {
    const program = programs[index];
    if (program === undefined) return;
    const { length } = program.instructions;
    const last = groups.at(-1);
    const fits = last && last.instructions + length <= MAX_GROUP_INSTRUCTIONS;
    const group = fits && last.patterns.length < MAX_GROUP_PATTERNS ? last : undefined;
    if (group === undefined) groups.push({ patterns: [pattern], programs: [program], instructions: length });
    else {
      group.patterns.push(pattern);
      group.programs.push(program);
      group.instructions += length;
    }
  });
  return groups.map(({ patterns, programs }) => ({ patterns, dfa: new LazyDfa(programs) }));
}
