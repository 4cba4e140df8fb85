import { RE2JSSyntaxException } from "re2js";
import { compileProgram, type Program } from "./program.ts";
import { MAX_PATTERN_CHARS } from "./spec.ts";

/** Why a pattern is refused when it is written. */
export interface PatternFault {
  /** For people, with the position. */
  readonly message: string;
  /** Where in the pattern, in characters from 0. */
  readonly position: number;
}

/** What one pattern may compile to: `\pL{500}` fits, `\pL{1,1000}` does not. */
export const MAX_INSTRUCTIONS = 1_024;

const TOO_LARGE: PatternFault = {
  message: `is too large: it compiles to more than ${MAX_INSTRUCTIONS} instructions; use fewer or smaller repetitions`,
  position: 0,
};

/**
 * Checks a pattern as it is written into a policy: the RE2 dialect (no look-around, no back-references), within bounds, and
 * never matching the empty text, which would match everywhere. Takes up to some 50 ms for the worst ones: yield between many.
 */
export function patternFault(pattern: string): PatternFault | undefined {
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
  return undefined;
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

/** re2js names what is wrong and repeats it, but not where it stands; of parentheses it repeats the whole pattern. */
function positionOf(description: string, fragment: string, pattern: string): number {
  if (description.startsWith("missing closing )") || description.startsWith("unexpected )")) {
    return unpairedParenthesis(pattern);
  }
  if (description.startsWith("trailing backslash")) return pattern.length - 1;
  return Math.max(0, fragment === "" ? 0 : pattern.indexOf(fragment));
}

/** Text that is quoted, escapes and character classes: no parenthesis in them groups. */
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

/** Whether there is a way to a match that consumes nothing, under whatever conditions. */
function matchesEmpty({ instructions, start }: Program): boolean {
  const seen = new Set<number>();
  const open = [start];
  for (let pc = open.pop(); pc !== undefined; pc = open.pop()) {
    const instruction = instructions[pc];
    if (seen.has(pc) || instruction === undefined) continue;
    seen.add(pc);
    if (instruction.kind === "match") return true;
    if (instruction.kind === "fork") open.push(instruction.out, instruction.second);
    if (instruction.kind === "assert" || instruction.kind === "skip") open.push(instruction.out);
  }
  return false;
}
