import { AnchoredDfa, type AnchoredState } from "./anchored-dfa.ts";
import { CharacterClasses, EDGE, type Neighbour } from "./classes.ts";
import { compositionsOf } from "./fold.ts";
import type { Program } from "./program.ts";
import type { Work } from "./work.ts";

/**
 * All attempts of several patterns that are under way at once, as one state: reading a character is one look into a table
 * that is filled while it is used. An attempt begins at every place, and of those that stand alike only the earliest is kept,
 * because whatever a later one will match, the earlier one matches too, from further in front.
 */
interface DfaState {
  readonly behind: Neighbour;
  /** The earliest first. */
  readonly attempts: readonly AnchoredState[];
  /** By character class. */
  readonly moves: (Transition | undefined)[];
}

interface Transition {
  readonly to: DfaState;
  /** For each attempt of `to`, which attempt of the state before it was, rising; then `BEGINS_HERE` for the new ones. */
  readonly from: readonly number[];
  /** Whether `from` keeps every attempt where it was. */
  readonly keeps: boolean;
  readonly matches: readonly Match[];
  /** Steps of work that following it takes. */
  readonly effort: number;
}

interface Match {
  readonly pattern: number;
  readonly from: number;
  /** Whether the character belongs to the match, or ends it. */
  readonly includes: boolean;
}

const BEGINS_HERE = -1;
/** What the tables may grow to before they are begun anew, in units of 8 bytes or so: some 4 MiB. */
const MAX_CELLS = 500_000;
/** In steps of `Work`, as measured: a step is some 10 ns. */
const EFFORT_OF_A_MOVE = 80;
const EFFORT_OF_AN_ATTEMPT = 15;
const EFFORT_OF_A_MATCH = 15;
const CELLS_OF_A_STATE = 40;

export class LazyDfa {
  readonly #classes: CharacterClasses;
  readonly #patterns: readonly AnchoredDfa[];
  readonly #compositionClasses = new Map<string, readonly number[]>();
  #states = new Map<string, DfaState>();
  #cells = 0;
  readonly start: DfaState;

  constructor(programs: readonly Program[]) {
    this.#classes = new CharacterClasses(programs);
    this.#patterns = programs.map((program, index) => new AnchoredDfa(index, program, this.#classes));
    this.start = this.#stateOf(EDGE, []);
  }

  get classes(): CharacterClasses {
    return this.#classes;
  }

  /** Classes of the characters that begin with this one once they are decomposed. */
  compositionClassesOf(character: string): readonly number[] {
    const known = this.#compositionClasses.get(character);
    if (known !== undefined) return known;
    const classes = [...new Set(compositionsOf(character).map((rune) => this.#classes.classOf(rune)))];
    this.#compositionClasses.set(character, classes);
    return classes;
  }

  /** What reading a character of this class, or the end of the text, makes of the state. */
  move(state: DfaState, each: number, work: Work): Transition {
    const known = state.moves[each];
    if (known !== undefined) return known;
    const before = this.#effortOfPatterns();
    const move = this.#take(state, each);
    state.moves[each] = move;
    this.#cells += move.from.length + move.matches.length;
    const effort = EFFORT_OF_A_MOVE + (state.attempts.length + this.#patterns.length) * EFFORT_OF_AN_ATTEMPT;
    work.spend(effort + this.#effortOfPatterns() - before);
    if (this.#cells + this.#cellsOfPatterns() > MAX_CELLS) this.#forget();
    return move;
  }

  #take(state: DfaState, each: number): Transition {
    const attempts: AnchoredState[] = [];
    const from: number[] = [];
    const matches: Match[] = [];
    const seen = new Set<AnchoredState>();
    const advance = (stand: AnchoredState, origin: number): void => {
      const { pattern } = stand;
      const step = this.#patterns[pattern]?.step(stand, state.behind, each);
      if (step === undefined) return;
      if (step.matchesBefore) matches.push({ pattern, from: origin, includes: false });
      if (step.matchesWith) matches.push({ pattern, from: origin, includes: true });
      if (step.stand === undefined || seen.has(step.stand)) return;
      seen.add(step.stand);
      attempts.push(step.stand);
      from.push(origin);
    };
    state.attempts.forEach(advance);
    for (const { begin } of this.#patterns) advance(begin, BEGINS_HERE);
    const keeps = from.length === state.attempts.length && from.every((origin, index) => origin === index);
    const effort = 2 + (keeps ? 0 : from.length) + matches.length * EFFORT_OF_A_MATCH;
    return { to: this.#stateOf(this.#classes.neighbourOf(each), attempts), from, keeps, matches, effort };
  }

  #effortOfPatterns(): number {
    return this.#patterns.reduce((sum, { effort }) => sum + effort, 0);
  }

  #cellsOfPatterns(): number {
    return this.#patterns.reduce((sum, { cells }) => sum + cells, 0);
  }

  #stateOf(behind: Neighbour, attempts: readonly AnchoredState[]): DfaState {
    const key = `${behind}:${attempts.map(({ id }) => id).join()}`;
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    const moves = Array.from<Transition | undefined>({ length: this.#classes.count + 1 });
    const state = { behind, attempts, moves };
    this.#states.set(key, state);
    this.#cells += CELLS_OF_A_STATE + moves.length + attempts.length;
    return state;
  }

  /** States that are in use stay good: they know all that they are. */
  #forget(): void {
    this.#states = new Map();
    this.#cells = 0;
    this.start.moves.fill(undefined);
    for (const pattern of this.#patterns) pattern.forget();
  }
}

/** Where one reader of one text stands in an automaton. */
export class DfaCursor {
  readonly #automaton: LazyDfa;
  #state: DfaState;
  /** Where each attempt of the state began, by rising place; what is beyond them is of no meaning. */
  readonly #starts: number[] = [];

  constructor(automaton: LazyDfa) {
    this.#automaton = automaton;
    this.#state = automaton.start;
  }

  /** Another reader that stands at the same place, and goes on by itself. */
  clone(): DfaCursor {
    const clone = new DfaCursor(this.#automaton);
    clone.#state = this.#state;
    for (let index = 0; index < this.#state.attempts.length; index++) clone.#starts[index] = this.#starts[index] ?? 0;
    return clone;
  }

  /** True if a character that a mark may still make of this one is, or may become, part of a match. */
  takesCompositionOf(character: string, work: Work): boolean {
    return this.#automaton.compositionClassesOf(character).some((each) => {
      const { to, matches } = this.#automaton.move(this.#state, each, work);
      return matches.length > 0 || to.attempts.length > 0;
    });
  }

  /** Where the earliest attempt that is under way began; undefined if there is none. */
  get earliest(): number | undefined {
    return this.#state.attempts.length === 0 ? undefined : this.#starts[0];
  }

  /**
   * Reads on up to `until`, or until `found` says stop, a pause is due or the work is used up. A half of a surrogate
   * pair at the end waits.
   *
   * @param place where `text` begins in all that is read
   * @returns the index up to which it has read; `until` if told to stop
   */
  read(text: string, from: number, until: number, place: number, work: Work, found: Found): number {
    const { classes } = this.#automaton;
    let at = from;
    let effort = 0;
    while (at < until) {
      const unit = text.charCodeAt(at);
      const isHigh = (unit & 0xfc00) === 0xd800;
      if (isHigh && at + 1 === until) break;
      const rune = isHigh ? (text.codePointAt(at) ?? unit) : unit;
      const width = rune > 0xffff ? 2 : 1;
      const each = classes.classOf(rune);
      const known = this.#state.moves[each];
      const move = known ?? this.#automaton.move(this.#state, each, work);
      if (this.#follow(move, place + at, width, found)) {
        work.spend(effort);
        return until;
      }
      at += width;
      effort += move.effort;
      if (known !== undefined && effort < STRETCH) continue;
      work.spend(effort);
      effort = 0;
      if (work.isPauseDue || work.isExhausted) return at;
    }
    work.spend(effort);
    return at;
  }

  /** Reads the rest of a text, half a surrogate pair included, and its end. */
  end(rest: string, place: number, work: Work, found: Found): void {
    const { classes } = this.#automaton;
    let at = place;
    for (const character of rest) {
      const move = this.#automaton.move(this.#state, classes.classOf(character.codePointAt(0) ?? 0), work);
      if (this.#follow(move, at, character.length, found)) return;
      at += character.length;
    }
    this.#follow(this.#automaton.move(this.#state, classes.count, work), at, 1, found);
  }

  /** @returns whether to stop */
  #follow({ to, matches, from, keeps }: Transition, place: number, width: number, found: Found): boolean {
    this.#state = to;
    let stop = false;
    for (const { pattern, from: origin, includes } of matches) {
      const end = includes ? place + width : place;
      stop = found({ pattern, start: this.#startOf(origin, place), end, seenAt: place }) || stop;
    }
    if (keeps) return stop;
    // In place: an attempt never moves to the back.
    const starts = this.#starts;
    for (let index = 0; index < from.length; index++) starts[index] = this.#startOf(from[index] ?? BEGINS_HERE, place);
    return stop;
  }

  #startOf(origin: number, place: number): number {
    return origin === BEGINS_HERE ? place : (this.#starts[origin] ?? place);
  }
}

/** How many steps of work are taken between two looks at it. */
const STRETCH = 10_000;

/** A match, `seenAt` the character that showed it: its last one, or the one behind it. */
export interface FoundMatch {
  readonly pattern: number;
  readonly start: number;
  readonly end: number;
  readonly seenAt: number;
}

/** Called for each match, by rising `seenAt`. @returns whether to stop reading for good */
export type Found = (match: FoundMatch) => boolean;
