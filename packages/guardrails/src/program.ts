import { RE2JS } from "re2js";

/**
 * A pattern as a program for an automaton: what re2js parses and compiles, in a form of our own. re2js decides what the
 * dialect is; how text is run through the program is ours, because a stream asks what no regex library answers: whether the
 * text so far may still become a match.
 */
export interface Program {
  readonly instructions: readonly Instruction[];
  readonly start: number;
}

export type Instruction =
  /** Consumes one code point out of these ranges: pairs of first and last, rising. */
  | { readonly kind: "rune"; readonly ranges: ArrayLike<number>; readonly out: number }
  /** Goes both ways; prefers the first. */
  | { readonly kind: "fork"; readonly out: number; readonly second: number }
  /** Goes on where all these conditions hold between two characters: a mask of `AT`. */
  | { readonly kind: "assert"; readonly conditions: number; readonly out: number }
  | { readonly kind: "skip"; readonly out: number }
  | { readonly kind: "match" }
  | { readonly kind: "fail" };

/** Conditions on a place between two characters, as RE2 numbers them. */
export const AT = {
  lineStart: 1,
  lineEnd: 2,
  textStart: 4,
  textEnd: 8,
  wordBoundary: 16,
  noWordBoundary: 32,
} as const;

export const LAST_RUNE = 0x10ffff;
const NEWLINE = 0x0a;

/** re2js's own numbers. */
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

/** @throws RE2JSException for a pattern that is not RE2 */
export function compileProgram(pattern: string): Program {
  const { prog } = RE2JS.compile(pattern).re2();
  const { inst, start } = prog as { readonly inst: readonly Re2Instruction[]; readonly start: number };
  const folds = new Map<number, ArrayLike<number>>();
  return { instructions: inst.map((each) => fromRe2Instruction(each, folds)), start };
}

function fromRe2Instruction(
  { op, out, arg, runes }: Re2Instruction,
  folds: Map<number, ArrayLike<number>>,
): Instruction {
  switch (op) {
    case OP.alt:
    case OP.altMatch:
      return { kind: "fork", out, second: arg };
    case OP.empty:
      return { kind: "assert", conditions: arg, out };
    case OP.capture:
    case OP.nop:
      return { kind: "skip", out };
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
      return { kind: "rune", ranges: rangesOf(runes, (arg & FOLD_CASE) !== 0, folds), out };
    default:
      throw new Error(`re2js compiles to an instruction that is not known here: ${op}`);
  }
}

/** A single rune stands for itself, or for all that it folds to. */
function rangesOf(runes: Int32Array, folded: boolean, folds: Map<number, ArrayLike<number>>): ArrayLike<number> {
  const [rune] = runes;
  if (runes.length !== 1 || rune === undefined) return runes;
  if (!folded) return [rune, rune];
  const known = folds.get(rune) ?? foldsOf(rune);
  folds.set(rune, known);
  return known;
}

/** As re2js folds it: in a class, next to a control character that folds to nothing else. */
function foldsOf(rune: number): ArrayLike<number> {
  const { prog } = RE2JS.compile(`(?i)[\\x{1}\\x{${rune.toString(16)}}]`).re2();
  const { inst } = prog as { readonly inst: readonly Re2Instruction[] };
  const runes = inst.find(({ op }) => op === OP.rune)?.runes ?? new Int32Array();
  return runes[0] === 1 && runes[1] === 1 ? runes.subarray(2) : runes;
}
