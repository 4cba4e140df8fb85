/** Value that may be replaced while the process runs, e.g. a secret whose file changes. */
export interface Watched<T> {
  /** The present value. Read it at each use: a copy would be the old value after a change. */
  readonly current: T;
  /**
   * Calls `listener` with each value that replaces this one, in their order.
   *
   * @returns function that ends the subscription
   */
  onChange(listener: (value: T) => void): () => void;
}

/** Secret that may be replaced while the process runs: a token, a password, a connection string. */
export type WatchedSecret = Watched<string>;

/** Value that never changes. */
export function constant<T>(value: T): Watched<T> {
  return { current: value, onChange: () => () => {} };
}

/** Returns the present value of a watched value, or a plain value itself. */
export function currentOf<T extends string | undefined>(value: T | Watched<T>): T {
  return typeof value === "object" ? value.current : value;
}
