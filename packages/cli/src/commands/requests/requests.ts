import { type Command, Option } from "commander";
import { idArgument, rowsArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { RequestNames } from "../../request-names.ts";
import { loginCredential } from "../../session.ts";
import { showPages } from "../../views/list.ts";
import { REQUEST_COLUMNS } from "../../views/requests/request.ts";
import { withExamples } from "../examples.ts";
import { followRequests } from "./follow-requests.ts";
import { type FilterOptions, toFilter, withFilters } from "./request-filter.ts";
import { readRequests } from "./read-requests.ts";
import { resolveFilter } from "./resolve-filter.ts";
import { addExportCommand } from "./export-requests.ts";
import { type RangeOptions, type TimeRange, withRange } from "../time-range.ts";

interface RequestsOptions extends FilterOptions {
  readonly limit: number;
  readonly pageToken?: string;
  readonly follow?: boolean;
}

export function defineRequests(requests: Command, context: Context): void {
  withFilters(requests)
    .option("--limit <number>", "Rows to list", rowsArgument, 25)
    .option("--page-token <token>", "Token of the page, from next_page_token", idArgument)
    .addOption(new Option("--follow", "Print requests as they end, until Ctrl-C").conflicts(["limit", "pageToken"]))
    .addHelpText("after", "\n--follow with --json prints one line of JSON for each request.")
    .action((options: RequestsOptions & RangeOptions) => {
      const selected = withRange(options);
      return selected.follow === true ? followRequests(context, selected) : listRequests(context, selected);
    });
  withExamples(
    requests,
    "cloud requests --limit 25",
    "cloud requests --status denied --since 24h",
    "cloud requests --provider openai --status failed",
    "cloud requests --follow",
    "cloud requests export --format csv > requests.csv",
  );

  addExportCommand(requests, context);
}

async function listRequests(context: Context, options: RequestsOptions & TimeRange): Promise<void> {
  const { limit, pageToken } = options;
  const credential = await loginCredential(context.settings);
  const client = await context.connect(credential);
  const filter = toFilter(await resolveFilter(context, credential, options));
  const names = new RequestNames(client, context.output);
  const pages = readRequests(client, names, filter, { limit, ...(pageToken !== undefined && { pageToken }) });
  const next = "`routeplane cloud env --help` shows how to send some to this node.";
  const nextPageToken = await showPages(context, pages, REQUEST_COLUMNS, "No requests match.", next);
  if (nextPageToken !== "") context.output.note(`For older requests, add --page-token ${nextPageToken}`);
}
