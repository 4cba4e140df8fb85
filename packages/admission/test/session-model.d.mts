/** Rules of the protocol, and beside each of them what goes wrong without it. */
export declare const BREAKS: Readonly<Record<string, string>>;

/** Run of some seeds, and the violation that ended it, if one was found. */
export interface Exploration {
  readonly steps: number;
  readonly seeds: number;
  readonly requests: number;
  readonly found?: { readonly seed: number; readonly message: string; readonly trace: readonly string[] };
}

/** Runs seeds, from the first one, for a number of steps in all, or until a violation is found. */
export declare function explore(steps: number, seed: number, broken: ReadonlySet<string>): Exploration;
