import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { ExitCode } from "../../errors.ts";
import { type Progress, startProgress } from "../../output/progress.ts";
import { type Column, table } from "../../output/table.ts";
import { operatorCredential } from "../../session.ts";
import {
  CHARGE_COLUMNS,
  type ChargeDifferenceView,
  COUNTER_COLUMNS,
  type CounterDifferenceView,
  fromProtoBudgetDifference,
  SESSION_COLUMNS,
  type SessionDifferenceView,
} from "../../views/admin/budget-difference.ts";
import { DIFFERENCE_COLUMNS, type DifferenceView, fromProtoDifference } from "../../views/admin/usage-difference.ts";
import { fromProtoInteger, requirePresent, fromProtoTime } from "../../views/values.ts";
import { withExamples } from "../examples.ts";
import { addRangeOptions, type RangeOptions, type TimeRange, withRange } from "../time-range.ts";

interface UsageReconciliation {
  readonly from: Timestamp;
  readonly to: Timestamp;
  /** Start of the request log, if it is within the range: only usage totals are kept from before it. */
  kept_from: string | null;
  namespace_count: number;
  readonly differences: DifferenceView[];
}

interface BudgetReconciliation {
  /** Admission time from which budget charges were compared; null if no part of the range could be compared. */
  compared_from: string | null;
  namespace_count: number;
  request_count: number;
  /** Number of requests under way, which were not compared. */
  running_count: number;
  /** Number of requests that services admitted: they are in no request log and were not compared. */
  service_count: number;
  counter_count: number;
  /** Number of counters that were compared only in part. */
  partial_counter_count: number;
  readonly charges: ChargeDifferenceView[];
  readonly counters: CounterDifferenceView[];
  readonly sessions: SessionDifferenceView[];
}

export function addReconcileCommand(admin: Command, context: Context): void {
  const reconcile = admin.command("reconcile").description("Compare request log, usage totals and budget charges");
  addRangeOptions(
    reconcile,
    "Start, rounded down to an hour (default: --to minus 30 days)",
    "End, rounded up to an hour (default: now)",
  )
    .addHelpText(
      "after",
      "\nExits with 1 if there are differences. Budget charges can be compared for the last 23 hours.",
    )
    .action((options: RangeOptions) => reconcileAll(context, withRange(options)));
  withExamples(reconcile, "admin reconcile", "admin reconcile --from 2026-05-01 --to 2026-06-01");
}

async function reconcileAll(context: Context, { from, to = new Date() }: TimeRange): Promise<void> {
  const client = await context.connect(await operatorCredential(context.settings));
  const range = { ...(from && { from: timestampFromDate(from) }), to: timestampFromDate(to) };
  const progress = startProgress(context, "namespaces compared", true);
  const usage = await reconcileUsage(client, range, progress);
  const budgets = await reconcileBudgets(client, usage, progress);
  progress.clear();
  const [start, end] = [fromProtoTime(usage.from), fromProtoTime(usage.to)];
  const view = { ...usage, from: start, to: end, budgets };
  context.output.data(view, (style) => {
    const tables = <Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] =>
      rows.length === 0 ? [] : [table(columns, rows, style)];
    return [
      ...tables(DIFFERENCE_COLUMNS, usage.differences),
      ...tables(CHARGE_COLUMNS, budgets.charges),
      ...tables(COUNTER_COLUMNS, budgets.counters),
      ...tables(SESSION_COLUMNS, budgets.sessions),
    ].join("\n");
  });
  const { differences, namespace_count, kept_from } = usage;
  const note = (text: string): void => context.output.note(text);
  note(`${differences.length} differences in ${namespace_count} namespaces from ${start} to ${end}`);
  if (kept_from !== null)
    note(`Requests from before ${kept_from} are not kept: only their usage totals were compared.`);
  const budgetDifferences = budgets.charges.length + budgets.counters.length + budgets.sessions.length;
  note(
    budgets.compared_from === null
      ? "The record of budget charges does not reach back that far and was not compared."
      : `${budgetDifferences} differences in budgets: ${budgets.request_count} requests since ${budgets.compared_from}, ` +
          `${budgets.counter_count} counters (${budgets.partial_counter_count} compared in part); ${budgets.running_count} requests are pending`,
  );
  if (budgets.service_count > 0)
    note(
      `${budgets.service_count} requests that services admitted have no rows in the request log: only counters include them.`,
    );
  if (differences.length + budgetDifferences > 0) context.setExitCode(ExitCode.failed);
}

async function reconcileUsage(
  { usageAdmin }: NodeClient,
  requested: { readonly from?: Timestamp; readonly to: Timestamp },
  progress: Progress,
): Promise<UsageReconciliation> {
  let page = await usageAdmin.reconcileUsage(requested);
  const range = { from: requirePresent(page.from), to: requirePresent(page.to) };
  const all: UsageReconciliation = { ...range, kept_from: null, namespace_count: 0, differences: [] };
  for (;;) {
    all.kept_from = fromProtoTime(page.keptFrom);
    all.namespace_count += page.namespaceCount;
    progress.show(all.namespace_count);
    for (const difference of page.differences) all.differences.push(fromProtoDifference(difference));
    if (page.nextPageToken === "") return all;
    page = await usageAdmin.reconcileUsage({ ...requested, pageToken: page.nextPageToken });
  }
}

async function reconcileBudgets(
  { budgetAdmin }: NodeClient,
  { from, to }: { readonly from: Timestamp; readonly to: Timestamp },
  progress: Progress,
): Promise<BudgetReconciliation> {
  const all: BudgetReconciliation = {
    compared_from: null,
    namespace_count: 0,
    request_count: 0,
    running_count: 0,
    service_count: 0,
    counter_count: 0,
    partial_counter_count: 0,
    charges: [],
    counters: [],
    sessions: [],
  };
  for (let pageToken = ""; ;) {
    const page = await budgetAdmin.reconcileBudgets({ from, to, pageToken });
    all.compared_from = fromProtoTime(page.comparedFrom);
    all.namespace_count += page.namespaceCount;
    progress.show(all.namespace_count);
    all.request_count += fromProtoInteger(page.requestCount);
    all.running_count += fromProtoInteger(page.runningCount);
    all.service_count += fromProtoInteger(page.serviceCount);
    all.counter_count += fromProtoInteger(page.counterCount);
    all.partial_counter_count += fromProtoInteger(page.partialCounterCount);
    for (const { charges, counters, sessions } of page.differences.map(fromProtoBudgetDifference)) {
      for (const charge of charges) all.charges.push(charge);
      for (const counter of counters) all.counters.push(counter);
      for (const session of sessions) all.sessions.push(session);
    }
    pageToken = page.nextPageToken;
    if (pageToken === "") return all;
  }
}
