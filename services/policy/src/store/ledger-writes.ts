import type { Id } from "@routeplane/domain";
import type { Transaction } from "@routeplane/postgres";
import { type RawBuilder, sql } from "kysely";
import type { Charge, ClosedHold, Entries, Release } from "../domain/entries.ts";
import type { Hold } from "../domain/hold.ts";
import type { HoldKey } from "../domain/ports.ts";
import type { Since } from "./ledger-reads.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

/** A closed hold is kept this long after its time, for repeated calls and late settlements. */
const HOLD_RETENTION_HOURS = 24;

/** Closed holds that one call forgets at most: more than it leaves behind, so that they do not pile up. */
const FORGET_SIZE = 4;

/** Raises what is reserved on every budget of the hold. Fails on `holds_pkey` if the request has one already. */
export async function openHold(
  tx: Tx,
  { namespaceId, requestId }: HoldKey,
  hold: Pick<Hold, "bindingIds" | "amountNano" | "outputTokensMax" | "expiresAt">,
): Promise<void> {
  const { bindingIds, amountNano, outputTokensMax, expiresAt } = hold;
  await sql`
    with reserved as (
      update budget_counters set reserved_nano = reserved_nano + ${amountNano}
      where namespace_id = ${namespaceId} and binding_id = any(${bindingIds})
    )
    insert into holds (namespace_id, request_id, binding_ids, amount_nano, output_tokens_max, expires_at, state)
    values (${namespaceId}, ${requestId}, ${bindingIds}, ${amountNano}, ${outputTokensMax}, ${expiresAt}, 'open')
  `.execute(tx);
}

/** Leaves a voided hold on nothing. Fails on `holds_pkey` if the request has one by now. */
export async function voidUnopened(tx: Tx, { namespaceId, requestId }: HoldKey): Promise<void> {
  await sql`
    with ${forgetHolds(namespaceId)}
    insert into holds
      (namespace_id, request_id, binding_ids, amount_nano, output_tokens_max, expires_at, state, closed_at)
    values (${namespaceId}, ${requestId}, '{}', 0, 0, clock_timestamp(), 'voided', clock_timestamp())
  `.execute(tx);
}

/**
 * The holds' new states, what that does to their budgets, and what can be forgotten by then, in one statement.
 *
 * @param counted from which bucket on each of the budgets counts
 */
export async function writeClosed(
  tx: Tx,
  namespaceId: Id<"ns">,
  closed: readonly ClosedHold[],
  { releases, charges, refunds }: Entries,
  counted: readonly Since[],
  now: Date,
): Promise<void> {
  const steps = [forgetBuckets(namespaceId, counted), forgetHolds(namespaceId)];
  if (releases.length > 0) steps.push(release(namespaceId, releases));
  if (charges.length > 0) steps.push(charge(namespaceId, charges));
  if (refunds.length > 0) steps.push(refund(namespaceId, refunds));
  await sql`
    with ${sql.join(steps)}
    update holds h set state = r.state, closed_at = ${now}, cost_nano = r.cost_nano
    from unnest(
      ${closed.map(({ hold }) => hold.requestId)}::text[],
      ${closed.map(({ change }) => change.state)}::text[],
      ${closed.map(({ change }) => change.costNano ?? null)}::bigint[]
    ) as r (request_id, state, cost_nano)
    where h.namespace_id = ${namespaceId} and h.request_id = r.request_id`.execute(tx);
}

function release(namespaceId: Id<"ns">, releases: readonly Release[]): RawBuilder<unknown> {
  return sql`released as (
    update budget_counters c set reserved_nano = c.reserved_nano - r.nano
    from unnest(${releases.map((row) => row.bindingId)}::text[], ${releases.map((row) => row.nano)}::bigint[])
      as r (binding_id, nano)
    where c.namespace_id = ${namespaceId} and c.binding_id = r.binding_id)`;
}

function charge(namespaceId: Id<"ns">, charges: readonly Charge[]): RawBuilder<unknown> {
  return sql`charged as (
    insert into budget_buckets (namespace_id, binding_id, bucket_start, spent_nano)
    select ${namespaceId}, r.binding_id, r.bucket_start, r.nano from ${chargeRows(charges)}
    on conflict (namespace_id, binding_id, bucket_start)
    do update set spent_nano = budget_buckets.spent_nano + excluded.spent_nano)`;
}

function refund(namespaceId: Id<"ns">, refunds: readonly Charge[]): RawBuilder<unknown> {
  return sql`refunded as (
    update budget_buckets k set spent_nano = k.spent_nano - r.nano from ${chargeRows(refunds)}
    where k.namespace_id = ${namespaceId} and k.binding_id = r.binding_id and k.bucket_start = r.bucket_start)`;
}

/** Buckets that have left their windows. None of them is charged or refunded in the same statement. */
function forgetBuckets(namespaceId: Id<"ns">, counted: readonly Since[]): RawBuilder<unknown> {
  return sql`forgotten_buckets as (
    delete from budget_buckets k
    using unnest(${counted.map((row) => row.bindingId)}::text[], ${counted.map((row) => row.since)}::timestamptz[])
      as w (binding_id, since)
    where k.namespace_id = ${namespaceId} and k.binding_id = w.binding_id and k.bucket_start < w.since)`;
}

/** A few closed holds that nobody can ask for any more. Those that another settlement is at need no waiting for. */
function forgetHolds(namespaceId: Id<"ns">): RawBuilder<unknown> {
  return sql`forgotten_holds as (
    delete from holds where namespace_id = ${namespaceId} and request_id = any(array(
      select request_id from holds
      where namespace_id = ${namespaceId} and state <> 'open'
        and expires_at < clock_timestamp() - make_interval(hours => ${HOLD_RETENTION_HOURS})
      order by expires_at limit ${FORGET_SIZE} for update skip locked)))`;
}

function chargeRows(rows: readonly Charge[]): RawBuilder<unknown> {
  return sql`unnest(
    ${rows.map((row) => row.bindingId)}::text[],
    ${rows.map((row) => row.bucketStart)}::timestamptz[],
    ${rows.map((row) => row.nano)}::bigint[]
  ) as r (binding_id, bucket_start, nano)`;
}
