import { type CharacterClasses, EDGE, includes, type Neighbour, NEWLINE, WORD } from "./classes.ts";
import { AT, type Program } from "./program.ts";

/**
 * One pattern, tried from one place in the text: where such an attempt stands is the list of instructions that may come next,
 * the preferred one first. This is RE2's own way (leftmost-first): what a match makes pointless is dropped, so lazy and greedy
 * repetitions end where RE2 ends them. Attempts that stand at the same list have the same future, whatever place they are from.
 */
export interface AnchoredState {
  /** Unique in the process. */
  readonly id: number;
  readonly pattern: number;
  /** Instructions that consume, or whose conditions wait for the next character. */
  readonly next: readonly number[];
  readonly steps: Map<number, AnchoredTransition>;
}

/** What one character makes of an attempt, worked out once. */
export interface AnchoredTransition {
  /** Undefined if the attempt is over. */
  readonly stand: AnchoredState | undefined;
  /** Whether it matches up to this character, and whether with it. */
  readonly matchesBefore: boolean;
  readonly matchesWith: boolean;
}

let lastId = 0;
/** In steps of `Work`, as measured. */
const EFFORT_OF_A_STEP = 60;
const EFFORT_OF_AN_INSTRUCTION = 8;
/** In units of 8 bytes or so. */
const CELLS_OF_A_STEP = 20;

export class AnchoredDfa {
  /** An attempt at the place where it begins. */
  readonly begin: AnchoredState;
  readonly #pattern: number;
  readonly #program: Program;
  readonly #classes: CharacterClasses;
  #stands = new Map<string, AnchoredState>();
  /** Instructions looked at so far, and what is remembered of them: for whoever bounds time and memory. */
  effort = 0;
  cells = 0;

  constructor(pattern: number, program: Program, classes: CharacterClasses) {
    this.#pattern = pattern;
    this.#program = program;
    this.#classes = classes;
    this.begin = this.#standAt([program.start]);
  }

  /** @param each the class of the character, or `classes.count` at the end of the text */
  step(stand: AnchoredState, behind: Neighbour, each: number): AnchoredTransition {
    const key = behind * (this.#classes.count + 1) + each;
    const known = stand.steps.get(key);
    if (known !== undefined) return known;
    const step = this.#take(stand, conditionsBetween(behind, this.#classes.neighbourOf(each)), each);
    stand.steps.set(key, step);
    this.effort += EFFORT_OF_A_STEP;
    this.cells += CELLS_OF_A_STEP;
    return step;
  }

  /** Forgets what was worked out. Stands that are in use stay good. */
  forget(): void {
    this.#stands = new Map();
    this.begin.steps.clear();
    this.cells = 0;
  }

  #take(stand: AnchoredState, conditions: number, each: number): AnchoredTransition {
    const ready: number[] = [];
    const seenReady = new Set<number>();
    const matchesBefore = stand.next.some((pc) => this.#follow(pc, conditions, ready, seenReady));
    if (each === this.#classes.count) return { stand: undefined, matchesBefore, matchesWith: false };
    const rune = this.#classes.sampleOf(each);
    const next: number[] = [];
    const seenNext = new Set<number>();
    this.effort += EFFORT_OF_AN_INSTRUCTION * ready.length;
    const matchesWith = ready.some((pc) => {
      const instruction = this.#program.instructions[pc];
      if (instruction?.kind !== "rune" || !includes(instruction.ranges, rune)) return false;
      return this.#follow(instruction.out, undefined, next, seenNext);
    });
    return { stand: next.length === 0 ? undefined : this.#standAt(next), matchesBefore, matchesWith };
  }

  /**
   * Collects what can come next from `pc` on, in order of preference.
   *
   * @param conditions those that hold here; undefined while the next character is not known: they wait
   * @returns whether that is a match: then all that is less preferred is pointless
   */
  #follow(pc: number, conditions: number | undefined, into: number[], seen: Set<number>): boolean {
    const open = [pc];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      this.effort += EFFORT_OF_AN_INSTRUCTION;
      const instruction = this.#program.instructions[at];
      if (seen.has(at) || instruction === undefined) continue;
      seen.add(at);
      if (instruction.kind === "match") return true;
      if (instruction.kind === "rune") into.push(at);
      else if (instruction.kind === "fork") open.push(instruction.second, instruction.out);
      else if (instruction.kind === "skip") open.push(instruction.out);
      else if (instruction.kind === "assert") {
        if (conditions === undefined) into.push(at);
        else if ((instruction.conditions & ~conditions) === 0) open.push(instruction.out);
      }
    }
    return false;
  }

  #standAt(next: readonly number[]): AnchoredState {
    const key = next.join();
    const known = this.#stands.get(key);
    if (known !== undefined) return known;
    const stand = { id: ++lastId, pattern: this.#pattern, next, steps: new Map<number, AnchoredTransition>() };
    this.#stands.set(key, stand);
    this.effort += EFFORT_OF_A_STEP + next.length * EFFORT_OF_AN_INSTRUCTION;
    this.cells += CELLS_OF_A_STEP + next.length;
    return stand;
  }
}

function conditionsBetween(behind: Neighbour, ahead: Neighbour): number {
  let conditions = (behind === WORD) === (ahead === WORD) ? AT.noWordBoundary : AT.wordBoundary;
  if (behind === EDGE) conditions |= AT.textStart | AT.lineStart;
  if (behind === NEWLINE) conditions |= AT.lineStart;
  if (ahead === EDGE) conditions |= AT.textEnd | AT.lineEnd;
  if (ahead === NEWLINE) conditions |= AT.lineEnd;
  return conditions;
}
