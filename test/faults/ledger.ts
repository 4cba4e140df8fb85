import pg from "pg";
import { superuserUrl } from "../harness/database.ts";
import type { TestNode } from "../harness/index.ts";
import type { CountingUpstream } from "./counting-upstream.ts";

/** Requests that were sent, each n once. */
export interface SentRequests {
  readonly count: number;
  /** Requests whose client received the complete answer. */
  readonly answered: ReadonlySet<number>;
}

interface Row {
  readonly id: string;
  readonly status: string;
  readonly n: number;
  /** Charge in micro-USD; of a pending request, its reservation. */
  readonly charge: number;
}

/** Reservation on a budget: a row of `policy.holds`. */
interface Reservation {
  readonly id: string;
  readonly state: string;
  readonly reserved: number;
  readonly cost: number | null;
}

/**
 * Request log and reservations of one key, compared with the counts of an upstream. Request n reserves and costs n micro-USD, so its row is
 * identified by its reservation, and a lost row cannot compensate for a duplicate.
 */
export interface Ledger {
  /** Differences between log, reservations and upstream. */
  faults(upstream: CountingUpstream, sent: SentRequests): Promise<readonly string[]>;
  /** Number of rows, keyed by status. */
  statuses(): Promise<Readonly<Record<string, number>>>;
  /** Makes all pending rows overdue. */
  expirePending(): Promise<void>;
  /** Runs a statement as the superuser. */
  execute(statement: string): Promise<void>;
  close(): Promise<void>;
}

/** Maximum wait for a connection: Postgres may be suspended, or wait for a CPU. */
const CONNECT_TIMEOUT_MS = 30_000;

/**
 * Opens the ledger of a key.
 *
 * @param isBudgeted true if a budget is bound to the key; otherwise its requests make no reservation
 */
export async function openLedger(node: TestNode, keyId: string, isBudgeted: boolean): Promise<Ledger> {
  // An error between queries (Postgres is killed) is reported by the next query.
  const connectionString = await superuserUrl(node.home);
  const pool = new pg.Pool({ connectionString, max: 2, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  pool.on("error", () => {});
  const readRows = async (): Promise<readonly Row[]> => {
    const { rows } = await pool.query<Row>(
      `select id, status, (reserved_nano_usd / 1000)::int as n,
         (case when status = 'pending' then reserved_nano_usd else cost_nano_usd end / 1000)::int as charge
       from usage.requests where key_id = $1 and status <> 'denied'`,
      [keyId],
    );
    return rows;
  };
  const readReservations = async (): Promise<readonly Reservation[]> => {
    const { rows } = await pool.query<Reservation>(
      `select request_id as id, state, (amount_nano / 1000)::int as reserved, (cost_nano / 1000)::int as cost
       from policy.holds where key_id = $1`,
      [keyId],
    );
    return rows;
  };
  return {
    async faults(upstream, sent) {
      const [log, reservations] = [await readRows(), await readReservations()];
      return [
        ...faultsOfLog(log, upstream, sent),
        ...(isBudgeted ? faultsOfReservations(log, reservations) : faultsWithoutBudget(reservations)),
      ];
    },
    async statuses() {
      const counts: Record<string, number> = {};
      for (const { status } of await readRows()) counts[status] = (counts[status] ?? 0) + 1;
      return counts;
    },
    async expirePending() {
      const past = "now() - interval '1 hour'";
      await pool.query(`update usage.requests set expires_at = ${past} where key_id = $1 and status = 'pending'`, [
        keyId,
      ]);
    },
    async execute(statement) {
      await pool.query(statement);
    },
    close: () => pool.end(),
  };
}

function faultsOfLog(
  log: readonly Row[],
  { seen }: CountingUpstream,
  { count, answered }: SentRequests,
): readonly string[] {
  const faults: string[] = [];
  const byNumber = Map.groupBy(log, ({ n }) => n);
  for (const [n, rows] of byNumber) {
    if (n < 1 || n > count) faults.push(`a row of request ${n}, which was not sent`);
    if (rows.length > 1) faults.push(`request ${n} has ${rows.length} rows`);
  }
  for (const [n, times] of seen) {
    if (times > 1) faults.push(`request ${n} reached the upstream ${times} times`);
    const [row] = byNumber.get(n) ?? [];
    if (row === undefined) faults.push(`request ${n} reached the upstream and has no row`);
    else if (row.charge !== n)
      faults.push(`request ${n} reached the upstream and is charged ${row.charge} (${row.status})`);
  }
  for (const { n, status } of log) {
    if (!seen.has(n) && status === "succeeded") faults.push(`request ${n} never reached the upstream and is ${status}`);
  }
  for (const n of answered) if (!seen.has(n)) faults.push(`request ${n} was answered and never reached the upstream`);
  return faults;
}

/** Every reservation is charged like its row; one without a row was released. */
function faultsOfReservations(log: readonly Row[], reservations: readonly Reservation[]): readonly string[] {
  const byId = new Map(reservations.map((reservation) => [reservation.id, reservation]));
  const ids = new Set(log.map(({ id }) => id));
  const unexplained = reservations
    .filter(({ id, state }) => !ids.has(id) && state !== "voided")
    .map(({ id, state, reserved }) => `${id} has a reservation of ${reserved} (${state}) and no row`);
  const differing = log.flatMap(({ id, n, status, charge }) => {
    const reservation = byId.get(id);
    if (reservation === undefined) return [`request ${n} has a row (${status}) and no reservation`];
    const charged =
      reservation.state === "settled" ? reservation.cost : reservation.state === "voided" ? 0 : reservation.reserved;
    const isSettled = status !== "pending" && status !== "unknown";
    if (isSettled && reservation.state === "open")
      return [`request ${n} is ${status}, and its reservation is still open`];
    return charged === charge
      ? []
      : [`request ${n} is charged ${charge} (${status}), its reservation ${charged} (${reservation.state})`];
  });
  return [...unexplained, ...differing];
}

/**
 * Expects no reservation without a budget. A voided one is allowed, because a gateway that cannot know whether it made a reservation
 * releases it.
 */
function faultsWithoutBudget(reservations: readonly Reservation[]): readonly string[] {
  const unexpected = reservations.filter(({ state }) => state !== "voided");
  return unexpected.map(
    ({ id, reserved, state }) => `${id} has a reservation of ${reserved} (${state}) where no budget applies`,
  );
}
