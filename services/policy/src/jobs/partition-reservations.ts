import { type Component, type Logger, runPeriodically } from "@routeplane/runtime";
import { expireReservation } from "../domain/admission/reservation.ts";
import type { Ledger, ReservationPartitions } from "../domain/ports.ts";

const EVERY_MS = 10 * 60_000;
const RETRY_MS = 30_000;

/**
 * Keeps the partitions of reservations: bounds the table of earlier releases once, creates days ahead, and drops days of which
 * everything ended a day ago. Any number of replicas can do so at once.
 */
export function partitionReservations(partitions: ReservationPartitions, ledger: Ledger, log: Logger): Component {
  return runPeriodically({
    name: "partition reservations by day",
    everyMs: EVERY_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      if (await partitions.boundLegacy()) log.info("bounded the table of reservations of earlier releases");
      const created = await partitions.create();
      if (created.length > 0) log.info({ partitions: created }, "created partitions of reservations");
      await expireOverdue(partitions, ledger);
      for (;;) {
        const dropped = await partitions.dropOldest();
        if (dropped === undefined) return false;
        log.info({ partition: dropped }, "dropped a partition of reservations");
      }
    },
  });
}

/** Expires reservations of namespaces without traffic: admissions expire only those of their own namespace. */
export async function expireOverdue(partitions: ReservationPartitions, ledger: Ledger): Promise<void> {
  let namespaceId = await partitions.nextOverdueNamespace(undefined);
  while (namespaceId !== undefined) {
    await ledger.expireDue(namespaceId, expireReservation);
    namespaceId = await partitions.nextOverdueNamespace(namespaceId);
  }
}
