import { AnchoredDfa, type AnchoredState } from "./anchored-dfa.ts";
import { CharacterClasses, EDGE, type Neighbour } from "./character-classes.ts";
import { compositionsOf } from "./fold.ts";
import type { Program } from "./program.ts";
import type { Work } from "./work.ts";

/**
 * Lazy DFA over a group of patterns: an unanchored search over a stream. It reports every match with its start, and knows the start of the
 * earliest match that is still possible.
 *
 * Algorithm: subset construction on demand, a transition at its first use, as in RE2's `dfa.cc`. Three things differ from RE2:
 *
 * 1. Unanchored search is not a `.*?` prefix. An attempt of each pattern begins at every character, and a state is the list of the
 *    anchored states (`anchored-dfa.ts`) of all running attempts, the earliest first. Of attempts in the same anchored state only
 *    the earliest is kept: whatever a later one will match, it matches too, from further left.
 * 2. Start positions are in registers beside the state, one for each attempt, as in a tagged DFA (Laurikari, "NFAs with Tagged
 *    Transitions"): a transition says which register each attempt of the new state takes over. RE2 finds the start by a search
 *    backwards, which a stream cannot do.
 * 3. Every match of every start is reported, overlapping ones too; each attempt by itself is leftmost-first.
 *
 * Cost: a character is one table lookup once its transition is known. Constructing one takes time proportional to the size of the patterns
 * and is charged to `Work`. Tables beyond `MAX_CELLS` are discarded and built again, like RE2's cache. The DFA is shared by all texts that
 * are matched against the same patterns; the position in a text is in a `DfaCursor`.
 */
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

  /** Transition of a state by a character of this class, or by the end of the text. */
  transition(state: DfaState, characterClass: number, work: Work): Transition {
    const known = state.transitions[characterClass];
    if (known !== undefined) return known;
    const stepsBefore = this.#constructionSteps();
    const transition = this.#construct(state, characterClass);
    state.transitions[characterClass] = transition;
    this.#cells += transition.origins.length + transition.matches.length;
    const steps = TRANSITION_STEPS + (state.attempts.length + this.#patterns.length) * ATTEMPT_STEPS;
    work.spend(steps + this.#constructionSteps() - stepsBefore);
    if (this.#cells + this.#patternCells() > MAX_CELLS) this.#reset();
    return transition;
  }

  /**
   * Searches a whole text for any match, without recording the starts of attempts: 7 ns a character instead of 12.5. Never waits.
   *
   * @param text text without surrogate pairs
   * @returns true if there is certainly no match; false if there is one, or a pause is due or the work exhausted before the end
   */
  matchesNothing(text: string, work: Work): boolean {
    const classes = this.#classes;
    work.spend(CHARACTER_STEPS * text.length);
    let state = this.start;
    for (let at = 0; at <= text.length; at++) {
      const characterClass = at < text.length ? classes.classOf(text.charCodeAt(at)) : classes.count;
      let transition = state.transitions[characterClass];
      if (transition === undefined) {
        transition = this.transition(state, characterClass, work);
        if (work.isPauseDue || work.isExhausted) return false;
      }
      if (transition.matches.length > 0) return false;
      state = transition.to;
    }
    return !work.isPauseDue && !work.isExhausted;
  }

  #construct(state: DfaState, characterClass: number): Transition {
    const attempts: AnchoredState[] = [];
    const origins: number[] = [];
    const matches: TransitionMatch[] = [];
    const seen = new Set<AnchoredState>();
    const advance = (attempt: AnchoredState, origin: number): void => {
      const { pattern } = attempt;
      const step = this.#patterns[pattern]?.transition(attempt, state.before, characterClass);
      if (step === undefined) return;
      if (step.matchesBefore) matches.push({ pattern, origin, includesCharacter: false });
      if (step.matchesWith) matches.push({ pattern, origin, includesCharacter: true });
      if (step.to === undefined || seen.has(step.to)) return;
      seen.add(step.to);
      attempts.push(step.to);
      origins.push(origin);
    };
    state.attempts.forEach(advance);
    for (const { start } of this.#patterns) advance(start, NEW_ATTEMPT);
    const keepsRegisters =
      origins.length === state.attempts.length && origins.every((origin, index) => origin === index);
    const steps = CHARACTER_STEPS + (keepsRegisters ? 0 : origins.length) + matches.length * MATCH_STEPS;
    const to = this.#stateOf(this.#classes.neighbourOf(characterClass), attempts);
    return { to, origins, keepsRegisters, matches, steps };
  }

  #constructionSteps(): number {
    return this.#patterns.reduce((sum, { constructionSteps }) => sum + constructionSteps, 0);
  }

  #patternCells(): number {
    return this.#patterns.reduce((sum, { cells }) => sum + cells, 0);
  }

  #stateOf(before: Neighbour, attempts: readonly AnchoredState[]): DfaState {
    const key = `${before}:${attempts.map(({ id }) => id).join()}`;
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    const transitions = Array.from<Transition | undefined>({ length: this.#classes.count + 1 });
    const state = { before, attempts, transitions };
    this.#states.set(key, state);
    this.#cells += STATE_CELLS + transitions.length + attempts.length;
    return state;
  }

  /** Discards the tables. States that are in use remain valid: they hold everything that they need. */
  #reset(): void {
    this.#states = new Map();
    this.#cells = 0;
    this.start.transitions.fill(undefined);
    for (const pattern of this.#patterns) pattern.reset();
  }
}

interface DfaState {
  /** Previous character. */
  readonly before: Neighbour;
  /** Running attempts, the earliest first. */
  readonly attempts: readonly AnchoredState[];
  /** Transitions that have been constructed, indexed by character class. */
  readonly transitions: (Transition | undefined)[];
}

interface Transition {
  readonly to: DfaState;
  /** Index in the previous state of each attempt of `to`, ascending; then `NEW_ATTEMPT` for attempts that begin here. */
  readonly origins: readonly number[];
  /** True if every attempt keeps its index, so no register has to be copied. */
  readonly keepsRegisters: boolean;
  readonly matches: readonly TransitionMatch[];
  /** Cost of taking the transition, in steps of `Work`. */
  readonly steps: number;
}

interface TransitionMatch {
  readonly pattern: number;
  /** Index of the attempt in the previous state, or `NEW_ATTEMPT`. */
  readonly origin: number;
  /** True if the match ends with the character; false if it ends before it. */
  readonly includesCharacter: boolean;
}

const NEW_ATTEMPT = -1;
/** Maximum size of the tables before they are discarded, in units of about 8 bytes: about 4 MiB. */
const MAX_CELLS = 500_000;
/** Costs of a character, of constructing a transition, of each attempt in it, and of a match, in steps of `Work`: about 10 ns each. */
const CHARACTER_STEPS = 2;
const TRANSITION_STEPS = 80;
const ATTEMPT_STEPS = 15;
const MATCH_STEPS = 15;
/** Memory of a state, in units of about 8 bytes. */
const STATE_CELLS = 40;

/** Position of a search in one text: the state of the DFA, and the registers with the starts of its attempts. */
export class DfaCursor {
  readonly #dfa: LazyDfa;
  #state: DfaState;
  /** Offset at which each attempt of the state began, ascending; elements beyond the attempts have no meaning. */
  readonly #starts: number[] = [];

  constructor(dfa: LazyDfa) {
    this.#dfa = dfa;
    this.#state = dfa.start;
  }

  /** Creates an independent cursor at the same position. */
  clone(): DfaCursor {
    const clone = new DfaCursor(this.#dfa);
    clone.#state = this.#state;
    for (let index = 0; index < this.#state.attempts.length; index++) clone.#starts[index] = this.#starts[index] ?? 0;
    return clone;
  }

  /** True if a character that this one composes with a following mark is part of a match, or can become so. */
  acceptsCompositionOf(character: string, work: Work): boolean {
    return this.#dfa.compositionClassesOf(character).some((characterClass) => {
      const { to, matches } = this.#dfa.transition(this.#state, characterClass, work);
      return matches.length > 0 || to.attempts.length > 0;
    });
  }

  /** Offset at which the earliest running attempt began; undefined if none is running. */
  get earliestStart(): number | undefined {
    return this.#state.attempts.length === 0 ? undefined : this.#starts[0];
  }

  /**
   * Reads `text` from an index up to `until`, or until `onMatch` stops it, a pause is due or the work is exhausted. Half a
   * surrogate pair at the end is left for the next call.
   *
   * @param textOffset offset of `text` in the whole text
   * @returns the index up to which it has read; `until` if `onMatch` stopped it
   */
  read(text: string, from: number, until: number, textOffset: number, work: Work, onMatch: OnMatch): number {
    const { classes } = this.#dfa;
    let at = from;
    let steps = 0;
    while (at < until) {
      const unit = text.charCodeAt(at);
      const isHigh = (unit & 0xfc00) === 0xd800;
      if (isHigh && at + 1 === until) break;
      const rune = isHigh ? (text.codePointAt(at) ?? unit) : unit;
      const width = rune > 0xffff ? 2 : 1;
      const characterClass = classes.classOf(rune);
      const known = this.#state.transitions[characterClass];
      const transition = known ?? this.#dfa.transition(this.#state, characterClass, work);
      if (this.#take(transition, textOffset + at, width, onMatch)) {
        work.spend(steps);
        return until;
      }
      at += width;
      steps += transition.steps;
      if (known !== undefined && steps < STEPS_BETWEEN_CHECKS) continue;
      work.spend(steps);
      steps = 0;
      if (work.isPauseDue || work.isExhausted) return at;
    }
    work.spend(steps);
    return at;
  }

  /** Reads the rest of the text, half a surrogate pair included, and its end. */
  end(rest: string, offset: number, work: Work, onMatch: OnMatch): void {
    const { classes } = this.#dfa;
    let at = offset;
    for (const character of rest) {
      const characterClass = classes.classOf(character.codePointAt(0) ?? 0);
      if (this.#take(this.#dfa.transition(this.#state, characterClass, work), at, character.length, onMatch)) return;
      at += character.length;
    }
    this.#take(this.#dfa.transition(this.#state, classes.count, work), at, 1, onMatch);
  }

  /** Takes the transition for the character at `offset`. @returns true if `onMatch` stops the search */
  #take(
    { to, matches, origins, keepsRegisters }: Transition,
    offset: number,
    width: number,
    onMatch: OnMatch,
  ): boolean {
    this.#state = to;
    let stop = false;
    for (const { pattern, origin, includesCharacter } of matches) {
      const end = includesCharacter ? offset + width : offset;
      stop = onMatch({ pattern, start: this.#startOf(origin, offset), end, decidedAt: offset }) || stop;
    }
    if (keepsRegisters) return stop;
    // Copied in place, because the index of an attempt never grows.
    const starts = this.#starts;
    for (let index = 0; index < origins.length; index++) {
      starts[index] = this.#startOf(origins[index] ?? NEW_ATTEMPT, offset);
    }
    return stop;
  }

  #startOf(origin: number, offset: number): number {
    return origin === NEW_ATTEMPT ? offset : (this.#starts[origin] ?? offset);
  }
}

/** Steps that are taken before the work is charged and checked. */
const STEPS_BETWEEN_CHECKS = 10_000;

/** Match of a pattern, by offsets in the whole text. */
export interface Match {
  /** Index of the pattern in its group. */
  readonly pattern: number;
  readonly start: number;
  readonly end: number;
  /** Offset of the character that decided the match: its last one, or the one after it. */
  readonly decidedAt: number;
}

/** Called for each match, by ascending `decidedAt`. @returns true to stop the search for good */
export type OnMatch = (match: Match) => boolean;
