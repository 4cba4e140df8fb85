/** Kind of a call: one with one answer, or one whose answer may have no end. */
export type CallKind = "unary" | "stream";

/** Most calls that one session may have in flight, and all sessions of this process together. */
const PER_SESSION: Readonly<Record<CallKind, number>> = { unary: 16, stream: 4 };
const PER_PROCESS: Readonly<Record<CallKind, number>> = { unary: 256, stream: 512 };

/** Places of running calls. A session that has all of its places gets no further one, and so takes none from others. */
export class CallSlots {
  readonly #running = new Map<string, number>();

  /** Takes a place. @returns the function that gives it up, to be called once; undefined if there is none */
  take(session: string, kind: CallKind): (() => void) | undefined {
    const [own, all] = [`${kind} ${session}`, kind];
    const [ownCount, allCount] = [this.#running.get(own) ?? 0, this.#running.get(all) ?? 0];
    if (ownCount >= PER_SESSION[kind] || allCount >= PER_PROCESS[kind]) return undefined;
    this.#running.set(own, ownCount + 1).set(all, allCount + 1);
    return () => {
      for (const name of [own, all]) this.#release(name);
    };
  }

  /** Number of running calls. */
  countOf(kind: CallKind): number {
    return this.#running.get(kind) ?? 0;
  }

  #release(name: string): void {
    const count = (this.#running.get(name) ?? 0) - 1;
    if (count > 0) this.#running.set(name, count);
    else this.#running.delete(name);
  }
}
