import { type BudgetWindow, bucketStart, oldestCountedBucket } from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import type { Hold, HoldChange } from "./hold.ts";

/** An amount on one budget. Nano-USD. */
export interface Release {
  readonly bindingId: Id<"bnd">;
  readonly nano: bigint;
}

/** An amount in one bucket of a budget. Nano-USD. */
export interface Charge extends Release {
  readonly bucketStart: Date;
}

/** What closing holds does to the budgets that they are on, each budget and bucket named once. */
export interface Entries {
  /** Taken off what is reserved. */
  readonly releases: readonly Release[];
  /** Added to what is spent; > 0. */
  readonly charges: readonly Charge[];
  /** Taken off what was charged before; > 0. */
  readonly refunds: readonly Charge[];
}

export interface ClosedHold {
  readonly hold: Hold;
  readonly change: HoldChange;
}

/** @param windows of the budgets that the holds are on; those that were unbound meanwhile are not among them */
export function toEntries(
  closed: readonly ClosedHold[],
  windows: ReadonlyMap<Id<"bnd">, BudgetWindow>,
  now: Date,
): Entries {
  const releases = new Totals<Release>();
  const charges = new Totals<Charge>();
  const refunds = new Totals<Charge>();
  for (const { hold, change } of closed) {
    for (const bindingId of hold.bindingIds) {
      releases.add(bindingId, { bindingId, nano: change.releaseNano });
      if (change.charge === undefined) continue;
      const { nano, at } = change.charge;
      const window = windows.get(bindingId);
      if (window === undefined) continue;
      const startMs = bucketStart(window, at.getTime());
      const bucket = { bindingId, bucketStart: new Date(startMs) };
      if (nano > 0n) charges.add(`${bindingId} ${startMs}`, { ...bucket, nano });
      // A bucket outside of the window counts no more, so nothing needs to be taken back.
      const counts = startMs >= oldestCountedBucket(window, now.getTime());
      if (nano < 0n && counts) refunds.add(`${bindingId} ${startMs}`, { ...bucket, nano: -nano });
    }
  }
  return { releases: releases.list(), charges: charges.list(), refunds: refunds.list() };
}

/** Adds up amounts of the same budget or bucket; those that come to nothing are left out. */
class Totals<T extends { readonly nano: bigint }> {
  readonly #byKey = new Map<string, T>();

  add(key: string, entry: T): void {
    const before = this.#byKey.get(key);
    this.#byKey.set(key, before === undefined ? entry : { ...before, nano: before.nano + entry.nano });
  }

  list(): readonly T[] {
    return [...this.#byKey.values()].filter(({ nano }) => nano !== 0n);
  }
}
