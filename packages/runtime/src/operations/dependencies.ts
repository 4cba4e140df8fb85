import { setTimeout as delay } from "node:timers/promises";

/** Another process that this one calls. */
export interface Dependency {
  readonly name: string;
  /** True if the process works without it; its state is still shown. False by default. */
  readonly optional?: boolean;
  /** Resolves to true if the process answers now; never rejects. One that takes longer than a second counts as unreachable. */
  isReachable(): Promise<boolean>;
}

export type DependencyState = "ok" | "unreachable";

/** Time within which checks of a dependency share one result: many callers may check at once. */
const FRESH_MS = 500;
/** Longest wait for a check: one of a silent dependency must not delay an answer to a probe or a scrape. */
const CHECK_TIMEOUT_MS = 1_000;

/** Dependencies of a process, and whether each answers. */
export class Dependencies {
  readonly #dependencies: readonly Dependency[];
  readonly #monotonic: () => number;
  readonly #checks = new Map<Dependency, { readonly at: number; readonly isReachable: Promise<boolean> }>();

  constructor(dependencies: readonly Dependency[], monotonic: () => number = () => performance.now()) {
    this.#dependencies = dependencies;
    this.#monotonic = monotonic;
  }

  /** Asks every dependency at once; a result is shared for half a second. */
  async states(): Promise<Readonly<Record<string, DependencyState>>> {
    const entries = this.#dependencies.map(async (dependency): Promise<readonly [string, DependencyState]> => {
      return [dependency.name, (await this.#isReachable(dependency)) ? "ok" : "unreachable"];
    });
    return Object.fromEntries(await Promise.all(entries));
  }

  /** Resolves to true if every required dependency answers. Optional ones are not asked, and so delay nothing. */
  async areReachable(): Promise<boolean> {
    const required = this.#dependencies.filter(({ optional = false }) => !optional);
    return (await Promise.all(required.map((dependency) => this.#isReachable(dependency)))).every(Boolean);
  }

  /** Reads the body of `/healthz`: whether requests can be served, and the state of each dependency. */
  async report(): Promise<{ readonly isServing: boolean; readonly body: object }> {
    const [isServing, dependencies] = await Promise.all([this.areReachable(), this.states()]);
    return { isServing, body: { status: isServing ? "ok" : "unavailable", dependencies } };
  }

  #isReachable(dependency: Dependency): Promise<boolean> {
    const now = this.#monotonic();
    const last = this.#checks.get(dependency);
    if (last !== undefined && now - last.at <= FRESH_MS) return last.isReachable;
    const isReachable = Promise.race([dependency.isReachable(), delay(CHECK_TIMEOUT_MS, false, { ref: false })]);
    this.#checks.set(dependency, { at: now, isReachable });
    return isReachable;
  }
}
