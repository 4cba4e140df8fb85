import { readFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import type { TestNode } from "../harness/index.ts";
import type { CountingUpstream } from "./counting-upstream.ts";

/**
 * What the request log and the holds of the budgets say, held against what an upstream has counted. Every request n reserves
 * and costs n micro-USD, so its row is known by its reservation, and no loss can make up for a doubling.
 */

/** Requests that were sent: each n once. */
export interface Sent {
  readonly count: number;
  /** Those whose client got the whole answer. */
  readonly answered: ReadonlySet<number>;
}

interface Row {
  readonly id: string;
  readonly status: string;
  readonly n: number;
  /** What is charged, or will be if nobody says better. Micro-USD. */
  readonly charge: number;
}

interface Hold {
  readonly id: string;
  readonly state: string;
  readonly reserved: number;
  readonly cost: number | null;
}

export interface Ledger {
  /** Everything that is wrong; empty if log, holds and upstream agree. */
  faults(upstream: CountingUpstream, sent: Sent): Promise<readonly string[]>;
  /** How many rows there are, by status. */
  statuses(): Promise<Readonly<Record<string, number>>>;
  /** Lets the time of all rows that are pending be over. */
  overdue(): Promise<void>;
  /** Runs a statement as the superuser. */
  execute(statement: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * @param keyId whose requests these are
 * @param isBudgeted whether a budget is bound to it; else nothing holds what its requests reserve
 */
export async function openLedger(node: TestNode, keyId: string, isBudgeted: boolean): Promise<Ledger> {
  // It is one of the tests' own: an error between queries (a kill of Postgres) is met by the next one.
  const pool = new pg.Pool({ connectionString: await superuserUrl(node), max: 2, connectionTimeoutMillis: 2_000 });
  pool.on("error", () => {});
  const rows = async (): Promise<readonly Row[]> => {
    const { rows } = await pool.query<Row>(
      `select id, status, (reserved_nano_usd / 1000)::int as n,
         (case when status = 'pending' then reserved_nano_usd else cost_nano_usd end / 1000)::int as charge
       from usage.requests where key_id = $1`,
      [keyId],
    );
    return rows;
  };
  const holds = async (): Promise<readonly Hold[]> => {
    const { rows } = await pool.query<Hold>(
      `select request_id as id, state, (amount_nano / 1000)::int as reserved, (cost_nano / 1000)::int as cost
       from policy.holds where key_id = $1`,
      [keyId],
    );
    return rows;
  };
  return {
    async faults(upstream, sent) {
      const [log, held] = [await rows(), await holds()];
      return [...faultsOfLog(log, upstream, sent), ...(isBudgeted ? faultsOfHolds(log, held) : faultsOfUnheld(held))];
    },
    async statuses() {
      const counts: Record<string, number> = {};
      for (const { status } of await rows()) counts[status] = (counts[status] ?? 0) + 1;
      return counts;
    },
    async overdue() {
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

function faultsOfLog(log: readonly Row[], { seen }: CountingUpstream, { count, answered }: Sent): readonly string[] {
  const faults: string[] = [];
  const byNumber = Map.groupBy(log, ({ n }) => n);
  for (const [n, rows] of byNumber) {
    if (n < 1 || n > count) faults.push(`a row of request ${n}, which nobody sent`);
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
  for (const n of answered) if (!seen.has(n)) faults.push(`request ${n} was answered by nobody`);
  return faults;
}

/** A hold is charged what its row is charged; one without a row was released. */
function faultsOfHolds(log: readonly Row[], holds: readonly Hold[]): readonly string[] {
  const byId = new Map(holds.map((hold) => [hold.id, hold]));
  const ids = new Set(log.map(({ id }) => id));
  const unexplained = holds
    .filter(({ id, state }) => !ids.has(id) && state !== "voided")
    .map(({ id, state, reserved }) => `${id} has a hold of ${reserved} (${state}) and no row`);
  const differing = log.flatMap(({ id, n, status, charge }) => {
    const hold = byId.get(id);
    if (hold === undefined) return [`request ${n} has a row (${status}) and no hold`];
    const charged = hold.state === "settled" ? hold.cost : hold.state === "voided" ? 0 : hold.reserved;
    const isOver = status !== "pending" && status !== "unknown";
    if (isOver && hold.state === "open") return [`request ${n} is ${status}, and its hold is still open`];
    return charged === charge
      ? []
      : [`request ${n} is charged ${charge} (${status}), its hold ${charged} (${hold.state})`];
  });
  return [...unexplained, ...differing];
}

/** Where no budget applies there is nothing but the mark that a hold, which may have been asked for, was released. */
function faultsOfUnheld(holds: readonly Hold[]): readonly string[] {
  const taken = holds.filter(({ state }) => state !== "voided");
  return taken.map(({ id, reserved, state }) => `${id} has a hold of ${reserved} (${state}) where no budget applies`);
}

/** From what the node has saved, and where its server says that it listens. */
async function superuserUrl({ home }: TestNode): Promise<string> {
  const secrets: unknown = JSON.parse(await readFile(join(home, "secrets.json"), "utf8"));
  const { superuserPassword } = secrets as { readonly superuserPassword: string };
  const [, , , port = ""] = (await readFile(join(home, "postgres/data/postmaster.pid"), "utf8")).split("\n");
  return `postgres://postgres:${superuserPassword}@127.0.0.1:${port}/routeplane`;
}
