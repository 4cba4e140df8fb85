import { encodeRecord } from "./format.ts";
import type { PendingSettlement } from "./recovery.ts";
import type { Segment } from "./segment.ts";

interface Pending {
  readonly payload: Uint8Array;
  /** Segment with its newest record. */
  segment: Segment;
}

/** Pending settlements of a spool, kept in memory as well as in its segments. */
export class PendingSettlements {
  readonly #pending = new Map<number, Pending>();
  #bytes = 0;

  /** Bytes of their payloads. */
  get bytes(): number {
    return this.#bytes;
  }

  add({ offset, payload }: PendingSettlement, segment: Segment): void {
    this.#pending.set(offset, { payload, segment });
    this.#bytes += payload.length;
    segment.pendingSettlements.add(offset);
  }

  remove(offset: number): void {
    const pending = this.#pending.get(offset);
    if (pending === undefined) return;
    this.#pending.delete(offset);
    this.#bytes -= pending.payload.length;
    pending.segment.pendingSettlements.delete(offset);
  }

  /** Encodes the pending settlements of a segment. */
  recordsOf({ pendingSettlements }: Segment): readonly Buffer[] {
    return Array.from(pendingSettlements, (offset) => {
      const payload = this.#pending.get(offset)?.payload ?? new Uint8Array();
      return encodeRecord({ kind: "pendingSettlement", offset, payload });
    });
  }

  /** Notes that these settlements were written to segment `to`, and are needed only there. Completed ones are skipped. */
  move(offsets: Iterable<number>, to: Segment): void {
    for (const offset of offsets) {
      const pending = this.#pending.get(offset);
      if (pending === undefined) continue;
      pending.segment.pendingSettlements.delete(offset);
      pending.segment = to;
      to.pendingSettlements.add(offset);
    }
  }
}
