import { RE2JS } from "re2js";

/**
 * Pattern as the program of a Thompson NFA, in the instruction set of RE2 (Cox, "Regular Expression Matching: the Virtual Machine
 * Approach"): states are instruction numbers, `alt` and `nop` are the empty transitions.
 *
 * re2js parses and compiles the pattern, so it defines the dialect. Running the program is this package's own (`anchored-dfa.ts`,
 * `lazy-dfa.ts`), because a stream needs an answer that no regex library gives: whether the text so far can still become a match.
 */
export interface Program {
  readonly instructions: readonly Instruction[];
  readonly start: number;
}

export type Instruction =
  /** Consumes one code point of these ranges: pairs of first and last, ascending. */
  | { readonly kind: "rune"; readonly ranges: ArrayLike<number>; readonly out: number }
  /** Continues at both; `out` has priority over `alternative`. */
  | { readonly kind: "alt"; readonly out: number; readonly alternative: number }
  /** Continues if all assertions hold between the previous and the next character: a mask of `EMPTY_WIDTH`. */
  | { readonly kind: "emptyWidth"; readonly assertions: number; readonly out: number }
  | { readonly kind: "nop"; readonly out: number }
  | { readonly kind: "match" }
  | { readonly kind: "fail" };

/** Bits of the empty-width assertions, as RE2 numbers them. */
export const EMPTY_WIDTH = {
  lineStart: 1,
  lineEnd: 2,
  textStart: 4,
  textEnd: 8,
  wordBoundary: 16,
  noWordBoundary: 32,
} as const;

export const LAST_RUNE = 0x10ffff;
const NEWLINE = 0x0a;

const EDGES = EMPTY_WIDTH.lineStart | EMPTY_WIDTH.lineEnd | EMPTY_WIDTH.textStart | EMPTY_WIDTH.textEnd;

/** True if a match can depend on where a text or a line begins or ends. */
export function assertsEdges({ instructions }: Program): boolean {
  return instructions.some(
    (instruction) => instruction.kind === "emptyWidth" && (instruction.assertions & EDGES) !== 0,
  );
}

/** Opcodes of re2js. */
const OP = {
  alt: 1,
  altMatch: 2,
  capture: 3,
  empty: 4,
  fail: 5,
  match: 6,
  nop: 7,
  rune: 8,
  rune1: 9,
  any: 10,
  line: 11,
};
const FOLD_CASE = 1;

interface Re2Instruction {
  readonly op: number;
  readonly out: number;
  readonly arg: number;
  readonly runes: Int32Array;
}

/** Compiles a pattern. @throws RE2JSException for a pattern that is not RE2 */
export function compileProgram(pattern: string): Program {
  const { prog } = RE2JS.compile(pattern).re2();
  const { inst, start } = prog as { readonly inst: readonly Re2Instruction[]; readonly start: number };
  const orbits = new Map<number, ArrayLike<number>>();
  return { instructions: inst.map((instruction) => fromRe2Instruction(instruction, orbits)), start };
}

function fromRe2Instruction(
  { op, out, arg, runes }: Re2Instruction,
  orbits: Map<number, ArrayLike<number>>,
): Instruction {
  switch (op) {
    case OP.alt:
    case OP.altMatch:
      return { kind: "alt", out, alternative: arg };
    case OP.empty:
      return { kind: "emptyWidth", assertions: arg, out };
    case OP.capture:
    case OP.nop:
      return { kind: "nop", out };
    case OP.match:
      return { kind: "match" };
    case OP.fail:
      return { kind: "fail" };
    case OP.any:
      return { kind: "rune", ranges: [0, LAST_RUNE], out };
    case OP.line:
      return { kind: "rune", ranges: [0, NEWLINE - 1, NEWLINE + 1, LAST_RUNE], out };
    case OP.rune:
    case OP.rune1:
      return { kind: "rune", ranges: rangesOf(runes, (arg & FOLD_CASE) !== 0, orbits), out };
    default:
      throw new Error(`unknown instruction of re2js: ${op}`);
  }
}

/** Ranges of a rune instruction. A single rune stands for itself or, if case is ignored, for its case-folding orbit. */
function rangesOf(runes: Int32Array, ignoresCase: boolean, orbits: Map<number, ArrayLike<number>>): ArrayLike<number> {
  const [rune] = runes;
  if (runes.length !== 1 || rune === undefined) return runes;
  if (!ignoresCase) return [rune, rune];
  const orbit = orbits.get(rune) ?? orbitOf(rune);
  orbits.set(rune, orbit);
  return orbit;
}

/** Case-folding orbit of a rune. re2js writes it out only within a class, hence the class with U+0001, which has no other case. */
function orbitOf(rune: number): ArrayLike<number> {
  const { prog } = RE2JS.compile(`(?i)[\\x{1}\\x{${rune.toString(16)}}]`).re2();
  const { inst } = prog as { readonly inst: readonly Re2Instruction[] };
  const runes = inst.find(({ op }) => op === OP.rune)?.runes ?? new Int32Array();
  return runes[0] === 1 && runes[1] === 1 ? runes.subarray(2) : runes;
}
