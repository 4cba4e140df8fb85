import type { Id } from "@routeplane/domain";
import type { SessionStore } from "./ports.ts";

interface Sighting {
  readonly renewal: bigint;
  /** Monotonic time at which this number was first seen. */
  readonly atMs: number;
}

/**
 * Creates the end of sessions by missed renewals: a session ends once this process has seen its number of renewals unchanged for the whole
 * length, on a monotonic clock. No wall clock is used, so a clock jump or a restart can only make a session longer.
 *
 * @returns a function that checks once, and resolves to the sessions that it ended
 */
export function createEndMissedRenewals(
  sessions: Pick<SessionStore, "open" | "end">,
  lengthMs: number,
  monotonic: () => number,
): () => Promise<readonly Id<"gws">[]> {
  let seen = new Map<Id<"gws">, Sighting>();
  return async () => {
    const askedAtMs = monotonic();
    const open = await sessions.open();
    const answeredAtMs = monotonic();
    const ended: Id<"gws">[] = [];
    const next = new Map<Id<"gws">, Sighting>();
    for (const { id, renewal } of open) {
      const before = seen.get(id);
      // Counts too little time, never too much: from the answer in which the number was first seen to the beginning of this read.
      const isUnchanged = before?.renewal === renewal;
      const sighting = isUnchanged ? before : { renewal, atMs: answeredAtMs };
      if (isUnchanged && askedAtMs - before.atMs >= lengthMs && (await sessions.end(id, renewal))) ended.push(id);
      else next.set(id, sighting);
    }
    seen = next;
    return ended;
  };
}
