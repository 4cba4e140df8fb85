/** Kind of a call: with a single response, or with a stream that may be endless. */
export type CallKind = "unary" | "stream";

/** Maximum number of running calls of one session, and of all sessions of this process together. */
const PER_SESSION: Readonly<Record<CallKind, number>> = { unary: 16, stream: 4 };
const PER_PROCESS: Readonly<Record<CallKind, number>> = { unary: 256, stream: 512 };

/** Slots of running calls. The limit for each session keeps one session from taking the slots of others. */
export class CallSlots {
  readonly #running = new Map<string, number>();

  /** Takes a slot. @returns the function that releases it, to be called once; undefined if no slot is free */
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
