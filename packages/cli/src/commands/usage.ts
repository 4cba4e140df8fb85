import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { timeArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { usageError } from "../errors.ts";
import { block } from "../output/table.ts";
import { loginCredential } from "../session.ts";
import { fromProtoUsage, usageFields } from "../views/usage.ts";
import { withExamples } from "./examples.ts";

interface UsageOptions {
  readonly from?: Date;
  readonly to?: Date;
}

export function addUsageCommand(cloud: Command, context: Context): void {
  const usage = cloud
    .command("usage")
    .description("requests, tokens and spend of the namespace; the last 30 days unless told otherwise")
    .option(
      "--from <time>",
      "first moment that counts, RFC 3339 with an offset (default: 30 days before --to)",
      timeArgument,
    )
    .option("--to <time>", "first moment that does not count any more (default: now)", timeArgument)
    .action((options: UsageOptions) => showUsage(context, options));
  withExamples(usage, "cloud usage", "cloud usage --from 2026-05-01T00:00:00Z --to 2026-06-01T00:00:00Z");
}

async function showUsage(context: Context, { from, to }: UsageOptions): Promise<void> {
  if (from !== undefined && to !== undefined && from >= to) throw usageError("--from must be before --to");
  const { usage } = await context.connect(await loginCredential(context.settings));
  const range = {
    ...(from === undefined ? {} : { from: timestampFromDate(from) }),
    ...(to === undefined ? {} : { to: timestampFromDate(to) }),
  };
  const view = fromProtoUsage(await usage.getUsage(range));
  context.output.data(view, () => block(usageFields(view)));
}
