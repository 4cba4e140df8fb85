import type { Id } from "@routeplane/domain";
import { type Component, gauge, type Logger, runPeriodically } from "@routeplane/runtime";
import { expireReservation } from "../domain/admission/reservation.ts";
import type { Ledger, OpenTotals, ReservationPartitions } from "../domain/ports.ts";

const EVERY_MS = 10 * 60_000;
const RETRY_MS = 30_000;
/** Maximum number of reservations that one transaction deletes, so that it is short. */
const DELETE_SIZE = 1_000;
/** Maximum number of batches that one run expires in one namespace. */
const MAX_EXPIRY_BATCHES = 1_000;

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
      if (await partitions.boundLegacy()) log.info("added the partition bound to the reservations of earlier releases");
      const created = await partitions.create();
      if (created.length > 0) log.info({ partitions: created }, "created partitions of reservations");
      await expireOverdue(partitions, ledger);
      const dropped = await partitions.dropOldest();
      if (dropped !== undefined) log.info({ partition: dropped }, "dropped a partition of reservations");
      const deleted = await partitions.deleteStray(DELETE_SIZE);
      return dropped !== undefined || deleted === DELETE_SIZE;
    },
  });
}

/** Expires reservations of namespaces without traffic: admissions expire only those of their own namespace. */
export async function expireOverdue(partitions: ReservationPartitions, ledger: Ledger): Promise<void> {
  let after: Id<"ns"> | undefined;
  let current: Id<"ns"> | undefined;
  let batches = 0;
  for (;;) {
    const namespaceId = await partitions.nextOverdueNamespace(after);
    if (namespaceId === undefined) return;
    batches = namespaceId === current ? batches + 1 : 1;
    current = namespaceId;
    await ledger.expireDue(namespaceId, expireReservation);
    // Reservations that other transactions have locked stay overdue: the run continues with the next namespace.
    if (batches === MAX_EXPIRY_BATCHES) after = namespaceId;
  }
}

/** Time for which processes show the same reading: a scrape of many replicas must not cost one query each. */
const TOTALS_FRESH_MS = 15_000;

/** Registers the gauges of open reservations, over all processes. They are left out while Postgres is down. */
export function observeOpenReservations(partitions: Pick<ReservationPartitions, "openTotals">): void {
  let read: { readonly at: number; readonly totals: Promise<OpenTotals> } | undefined;
  const totals = (): Promise<OpenTotals> => {
    const now = performance.now();
    if (read === undefined || now - read.at > TOTALS_FRESH_MS) {
      const reading = { at: now, totals: partitions.openTotals() };
      read = reading;
      reading.totals.catch(() => {
        if (read === reading) read = undefined;
      });
    }
    return read.totals;
  };
  gauge({
    name: "routeplane_policy_open_reservations",
    help: "Reservations that are neither settled nor released nor expired, over all processes. Absent while Postgres is down.",
    read: async () => Number((await totals()).reservations),
  });
  gauge({
    name: "routeplane_policy_open_reservations_usd",
    help: "Amount that open reservations reserve, over all processes. Absent while Postgres is down.",
    read: async () => Number((await totals()).reservedNano) / 1e9,
  });
}
