import { RE2JSSyntaxException } from "re2js";
import { compileProgram, type Program } from "./program.ts";
import { MAX_PATTERN_CHARS } from "./spec.ts";

/** Fault for which a pattern is refused when it is written into a policy. */
export interface PatternFault {
  /** Text for people; names the position, from 1. */
  readonly message: string;
  /** Index in the pattern, in characters from 0. */
  readonly position: number;
}

/** Maximum number of instructions of one pattern: `\pL{500}` fits, `\pL{1,1000}` does not. */
export const MAX_INSTRUCTIONS = 1_024;

const TOO_LARGE: PatternFault = {
  message: `is too large: it compiles to more than ${MAX_INSTRUCTIONS} instructions; use fewer or smaller repetitions`,
  position: 0,
};

/**
 * Checks a pattern as it is written into a policy: the RE2 dialect (no look-around, no back-references), within bounds, and
 * never matching the empty text, which would match everywhere. Takes up to about 50 ms for the worst ones: yield between many.
 *
 * @returns the fault, or undefined for a valid pattern
 */
export function patternFault(pattern: string): PatternFault | undefined {
  const measured = measurePattern(pattern);
  return typeof measured === "number" ? undefined : measured;
}

/** Checks a pattern as `patternFault` does. @returns the fault, or the number of instructions that a valid pattern compiles to */
export function measurePattern(pattern: string): PatternFault | number {
  if (pattern === "") return { message: "is empty", position: 0 };
  if (pattern.length > MAX_PATTERN_CHARS) {
    return { message: `is longer than ${MAX_PATTERN_CHARS} characters`, position: MAX_PATTERN_CHARS };
  }
  let program: Program;
  try {
    program = compileProgram(pattern);
  } catch (error) {
    return faultOf(error, pattern);
  }
  if (program.instructions.length > MAX_INSTRUCTIONS) return TOO_LARGE;
  if (matchesEmpty(program)) return { message: "matches the empty text, and so would match everywhere", position: 0 };
  return program.instructions.length;
}

function faultOf(error: unknown, pattern: string): PatternFault {
  if (!(error instanceof RE2JSSyntaxException)) {
    const reason = error instanceof Error ? error.message : String(error);
    return { message: `is not an RE2 pattern: ${reason}`, position: 0 };
  }
  const description = error.getDescription();
  if (description === "expression too large") return TOO_LARGE;
  const position = positionOf(description, error.getPattern() ?? "", pattern);
  return { message: `is not an RE2 pattern: ${description} at character ${position + 1}`, position };
}

/** Index of a fault. re2js quotes the faulty fragment without its index, and for parentheses the whole pattern. */
function positionOf(description: string, fragment: string, pattern: string): number {
  if (description.startsWith("missing closing )") || description.startsWith("unexpected )")) {
    return unpairedParenthesis(pattern);
  }
  if (description.startsWith("trailing backslash")) return pattern.length - 1;
  return Math.max(0, fragment === "" ? 0 : pattern.indexOf(fragment));
}

/** Quoted text, escapes and character classes, in which a parenthesis does not group. */
const OPAQUE = /\\Q[\s\S]*?(?:\\E|$)|\\[\s\S]|\[\^?\]?(?:\\[\s\S]|\[:\^?[a-z]+:\]|[^\]\\])*\]?/gy;

function unpairedParenthesis(pattern: string): number {
  const open: number[] = [];
  for (let at = 0; at < pattern.length; at++) {
    OPAQUE.lastIndex = at;
    const opaque = OPAQUE.exec(pattern);
    if (opaque !== null) at += opaque[0].length - 1;
    else if (pattern[at] === "(") open.push(at);
    else if (pattern[at] === ")" && open.pop() === undefined) return at;
  }
  return open.at(-1) ?? 0;
}

/** True if a match can be reached without consuming a character, whatever the empty-width assertions demand. */
function matchesEmpty({ instructions, start }: Program): boolean {
  const seen = new Set<number>();
  const open = [start];
  for (let pc = open.pop(); pc !== undefined; pc = open.pop()) {
    const instruction = instructions[pc];
    if (seen.has(pc) || instruction === undefined) continue;
    seen.add(pc);
    if (instruction.kind === "match") return true;
    if (instruction.kind === "alt") open.push(instruction.out, instruction.alternative);
    if (instruction.kind === "emptyWidth" || instruction.kind === "nop") open.push(instruction.out);
  }
  return false;
}
