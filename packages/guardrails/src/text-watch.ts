import { Pass, STEPS_OF_A_PASS } from "./pass.ts";
import type { TextPattern, TextRules } from "./rules.ts";
import type { Work } from "./work.ts";

/** Notes which patterns a text matches, and lets all of it pass. */
export class TextWatch<P extends TextPattern> {
  readonly #work: Work;
  readonly #passes: readonly Pass<P>[];
  readonly #matched = new Set<P>();
  /** The half of a surrogate pair that could not be read yet. */
  #held = "";
  #place = 0;

  constructor(rules: TextRules<P>, work: Work) {
    this.#work = work;
    work.spend(STEPS_OF_A_PASS * rules.groups.length);
    this.#passes = rules.groups.map(
      (group) =>
        new Pass(group, (pattern) => {
          this.#matched.add(pattern);
          return false;
        }),
    );
  }

  /** All that it would have blocked or redacted so far. */
  get matched(): ReadonlySet<P> {
    return this.#matched;
  }

  /** Watches no further once the work is used up: nobody depends on it. */
  async push(text: string): Promise<void> {
    if (this.#work.exhausted) return;
    this.#held += text;
    for (const pass of this.#passes) if (!(await pass.read(this.#held, this.#place, this.#work))) return;
    const read = this.#passes[0]?.place ?? this.#place;
    this.#held = this.#held.slice(read - this.#place);
    this.#place = read;
  }

  end(): void {
    if (this.#work.exhausted) return;
    for (const pass of this.#passes) pass.end(this.#held, this.#place, this.#work);
  }
}
