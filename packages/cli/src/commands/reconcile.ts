import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { timeArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { ExitCode, usageError } from "../errors.ts";
import { table } from "../output/table.ts";
import { operatorCredential } from "../session.ts";
import { DIFFERENCE_COLUMNS, type DifferenceView, fromProtoDifference } from "../views/difference.ts";
import { fromProtoSetTime, fromProtoTime } from "../views/values.ts";
import { withExamples } from "./examples.ts";

interface ReconcileOptions {
  readonly from?: Date;
  readonly to?: Date;
}

interface ReconciliationView {
  from: string;
  to: string;
  /** Of requests from before nothing is kept but the sums; null: all of the range are. */
  kept_from: string | null;
  namespace_count: number;
  readonly differences: DifferenceView[];
}

export function addReconcileCommand(admin: Command, context: Context): void {
  const reconcile = admin
    .command("reconcile")
    .description("hold the usage of every namespace against its request log; exit code 1 if they differ")
    .option(
      "--from <time>",
      "RFC 3339 with an offset, taken down to a whole hour (default: 30 days before --to)",
      timeArgument,
    )
    .option("--to <time>", "RFC 3339 with an offset, taken up to a whole hour (default: now)", timeArgument)
    .action((options: ReconcileOptions) => reconcileUsage(context, options));
  withExamples(reconcile, "admin reconcile", "admin reconcile --from 2026-05-01T00:00:00Z --to 2026-06-01T00:00:00Z");
}

async function reconcileUsage(context: Context, { from, to = new Date() }: ReconcileOptions): Promise<void> {
  if (from !== undefined && from >= to) throw usageError("--from must be before --to");
  const { usageAdmin } = await context.connect(await operatorCredential(context.settings));
  const range = { ...(from && { from: timestampFromDate(from) }), to: timestampFromDate(to) };
  const view: ReconciliationView = { from: "", to: "", kept_from: null, namespace_count: 0, differences: [] };
  let pageToken = "";
  do {
    const page = await usageAdmin.reconcileUsage({ ...range, pageToken });
    view.from = fromProtoSetTime(page.from);
    view.to = fromProtoSetTime(page.to);
    view.kept_from = fromProtoTime(page.keptFrom);
    view.namespace_count += page.namespaceCount;
    view.differences.push(...page.differences.map(fromProtoDifference));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  const { differences, namespace_count } = view;
  context.output.data(view, ({ dim }) => (differences.length === 0 ? "" : table(DIFFERENCE_COLUMNS, differences, dim)));
  context.output.note(
    `${differences.length} differences in ${namespace_count} namespaces from ${view.from} to ${view.to}`,
  );
  if (view.kept_from !== null) {
    context.output.note(`Requests from before ${view.kept_from} are not kept: their sums are held against each other.`);
  }
  if (differences.length > 0) context.endWith(ExitCode.failed);
}
