import { type CharacterClasses, EDGE, includes, type Neighbour, NEWLINE, WORD } from "./character-classes.ts";
import { EMPTY_WIDTH, type Program } from "./program.ts";

/**
 * Anchored leftmost-first DFA of one pattern, built lazily: the pattern tried from one start position.
 *
 * Algorithm: subset construction over the Thompson NFA of `program.ts`, as in RE2's `dfa.cc` (Cox, "Regular Expression Matching in the
 * Wild"). A state is the list of NFA threads in order of priority, as in a Pike VM; a thread that matches drops all threads of lower
 * priority (leftmost-first, Perl's semantics), so lazy and greedy repetitions end where RE2 ends them. Empty-width assertions are part of
 * the state until the next character is known, like RE2's flags, so a match may be decided one character late (`matchesBefore`). A Pike VM
 * visits no instruction twice at one position, which decides where a repetition around an assertion ends. So a state also contains the
 * `alt` instructions that were visited before a waiting assertion.
 *
 * States do not contain the start position: attempts that are in the same state have the same future, wherever they began.
 * `lazy-dfa.ts` relies on that.
 */
export class AnchoredDfa {
  /** State of an attempt at its start position. */
  readonly start: AnchoredState;
  readonly #pattern: number;
  readonly #program: Program;
  readonly #classes: CharacterClasses;
  #states = new Map<string, AnchoredState>();
  /** Steps of `Work` that construction has taken so far. */
  constructionSteps = 0;
  /** Memory that the tables take, in units of about 8 bytes. */
  cells = 0;

  constructor(pattern: number, program: Program, classes: CharacterClasses) {
    this.#pattern = pattern;
    this.#program = program;
    this.#classes = classes;
    this.start = this.#stateOf([program.start]);
  }

  /**
   * Transition of a state by one character.
   *
   * @param before previous character
   * @param characterClass class of the character, or `classes.count` at the end of the text
   */
  transition(state: AnchoredState, before: Neighbour, characterClass: number): AnchoredTransition {
    const key = before * (this.#classes.count + 1) + characterClass;
    const known = state.transitions.get(key);
    if (known !== undefined) return known;
    const assertions = assertionsBetween(before, this.#classes.neighbourOf(characterClass));
    const transition = this.#construct(state, assertions, characterClass);
    state.transitions.set(key, transition);
    this.constructionSteps += STATE_STEPS;
    this.cells += STATE_CELLS;
    return transition;
  }

  /** Discards the tables. States that are in use remain valid. */
  reset(): void {
    this.#states = new Map();
    this.start.transitions.clear();
    this.cells = 0;
  }

  #construct(state: AnchoredState, assertions: number, characterClass: number): AnchoredTransition {
    const consuming: number[] = [];
    const seenConsuming = new Set<number>();
    const matchesBefore = state.threads.some((thread) => {
      if (thread >= 0) return this.#addThreads(thread, assertions, consuming, seenConsuming);
      seenConsuming.add(~thread);
      return false;
    });
    if (characterClass === this.#classes.count) return { to: undefined, matchesBefore, matchesWith: false };
    const rune = this.#classes.sampleOf(characterClass);
    const threads: number[] = [];
    const seenThreads = new Set<number>();
    this.constructionSteps += INSTRUCTION_STEPS * consuming.length;
    const matchesWith = consuming.some((pc) => {
      const instruction = this.#program.instructions[pc];
      if (instruction?.kind !== "rune" || !includes(instruction.ranges, rune)) return false;
      return this.#addThreads(instruction.out, undefined, threads, seenThreads);
    });
    const kept = this.#withoutVisitedBehind(threads);
    return { to: kept.length === 0 ? undefined : this.#stateOf(kept), matchesBefore, matchesWith };
  }

  /** Removes the visited instructions behind the last assertion that waits: they affect no thread. */
  #withoutVisitedBehind(threads: readonly number[]): readonly number[] {
    const last = threads.findLastIndex((thread) => this.#program.instructions[thread]?.kind === "emptyWidth");
    return threads.filter((thread, index) => thread >= 0 || index < last);
  }

  /**
   * Adds the threads that are reached from `start` by empty transitions (the ε-closure), in order of priority.
   *
   * @param assertions empty-width assertions that hold here; undefined while the next character is unknown, so that threads wait for them
   * @returns true if a match is reached: threads of lower priority must not be added
   */
  #addThreads(start: number, assertions: number | undefined, threads: number[], seen: Set<number>): boolean {
    const stack = [start];
    for (let pc = stack.pop(); pc !== undefined; pc = stack.pop()) {
      this.constructionSteps += INSTRUCTION_STEPS;
      const instruction = this.#program.instructions[pc];
      if (seen.has(pc) || instruction === undefined) continue;
      seen.add(pc);
      if (instruction.kind === "match") return true;
      if (instruction.kind === "rune") threads.push(pc);
      else if (instruction.kind === "alt") {
        if (assertions === undefined) threads.push(~pc);
        stack.push(instruction.alternative, instruction.out);
      } else if (instruction.kind === "nop") stack.push(instruction.out);
      else if (instruction.kind === "emptyWidth") {
        if (assertions === undefined) threads.push(pc);
        else if ((instruction.assertions & ~assertions) === 0) stack.push(instruction.out);
      }
    }
    return false;
  }

  #stateOf(threads: readonly number[]): AnchoredState {
    const key = threads.join();
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    const transitions = new Map<number, AnchoredTransition>();
    const state = { id: ++lastId, pattern: this.#pattern, threads, transitions };
    this.#states.set(key, state);
    this.constructionSteps += STATE_STEPS + threads.length * INSTRUCTION_STEPS;
    this.cells += STATE_CELLS + threads.length;
    return state;
  }
}

/** State of an attempt. */
export interface AnchoredState {
  /** Unique in the process. */
  readonly id: number;
  /** Index of the pattern in its group. */
  readonly pattern: number;
  /**
   * Instructions that consume a character or wait for an assertion, in order of priority. `~pc` is the instruction `pc` that was visited
   * before the threads behind it.
   */
  readonly threads: readonly number[];
  /** Transitions that have been constructed, keyed by previous character and character class. */
  readonly transitions: Map<number, AnchoredTransition>;
}

export interface AnchoredTransition {
  /** Next state; undefined if the attempt is over. */
  readonly to: AnchoredState | undefined;
  /** True if the pattern matches up to but not including the character, which an assertion waited for. */
  readonly matchesBefore: boolean;
  /** True if the pattern matches with the character. */
  readonly matchesWith: boolean;
}

let lastId = 0;
/** Cost of constructing a state or a transition, and of each of its instructions, in steps of `Work`, as measured. */
const STATE_STEPS = 60;
const INSTRUCTION_STEPS = 8;
/** Memory of a state or a transition, in units of about 8 bytes. */
const STATE_CELLS = 20;

function assertionsBetween(before: Neighbour, after: Neighbour): number {
  let assertions = (before === WORD) === (after === WORD) ? EMPTY_WIDTH.noWordBoundary : EMPTY_WIDTH.wordBoundary;
  if (before === EDGE) assertions |= EMPTY_WIDTH.textStart | EMPTY_WIDTH.lineStart;
  if (before === NEWLINE) assertions |= EMPTY_WIDTH.lineStart;
  if (after === EDGE) assertions |= EMPTY_WIDTH.textEnd | EMPTY_WIDTH.lineEnd;
  if (after === NEWLINE) assertions |= EMPTY_WIDTH.lineEnd;
  return assertions;
}
