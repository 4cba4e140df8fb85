import { type Command, Option } from "commander";
import { idArgument, rowsArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { block } from "../../output/table.ts";
import { loginCredential } from "../../session.ts";
import { pagesOf, showPages } from "../../views/list.ts";
import { fromProtoReceipt } from "../../views/requests/receipt.ts";
import { fromProtoRequest, REQUEST_COLUMNS, requestFields } from "../../views/requests/request.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";
import { followRequests } from "./follow-requests.ts";
import { type FilterOptions, toFilter, withFilters } from "./request-filter.ts";
import { resolveFilter } from "./resolve-filter.ts";
import { addExportCommand } from "./export-requests.ts";
import { requireOrderedRange } from "../time-range.ts";

interface RequestsOptions extends FilterOptions {
  readonly limit: number;
  readonly pageToken?: string;
  readonly follow?: boolean;
}

export function addRequestCommands(cloud: Command, context: Context): void {
  const requests = withFilters(cloud.command("requests"))
    .description("List the request log, newest first, page by page")
    .option("--limit <number>", "Rows to list", rowsArgument, 25)
    .option("--page-token <token>", "Token of the page, from next_page_token", idArgument)
    .addOption(new Option("--follow", "Print requests as they end, until Ctrl-C").conflicts(["limit", "pageToken"]))
    .addHelpText("after", "\n--follow with --json prints one line of JSON for each request.")
    .action((options: RequestsOptions) => {
      requireOrderedRange(options);
      return options.follow === true ? followRequests(context, options) : listRequests(context, options);
    });
  withExamples(
    requests,
    "cloud requests --limit 25",
    "cloud requests --status denied --from 2026-05-01T00:00:00Z",
    "cloud requests --provider openai --status failed",
    "cloud requests --follow",
    "cloud requests export --format csv > requests.csv",
  );

  addExportCommand(requests, context);

  const request = cloud.command("request").description("Show a request of the request log");
  withExamples(request, "cloud request get req_01jxyz…");
  const get = request
    .command("get")
    .description("Show the receipt of a request")
    .argument("<id>", "Id (req_…), the x-request-id of the answer", idArgument)
    .addHelpText(
      "after",
      "\nShows its reservation, its charge, the decisions of guardrails and policies, and the times.",
    )
    .action((id: string) => showRequest(context, id));
  withExamples(get, "cloud request get req_01jxyz…");
}

async function listRequests(context: Context, options: RequestsOptions): Promise<void> {
  const { limit, pageToken } = options;
  const credential = await loginCredential(context.settings);
  const { usage } = await context.connect(credential);
  const filter = toFilter(await resolveFilter(context, credential, options));
  const read = async (page: { pageSize: number; pageToken: string }) => {
    const { requests: rows, nextPageToken } = await usage.listRequests({ ...page, filter });
    return { rows, nextPageToken };
  };
  const pages = pagesOf(read, fromProtoRequest, { limit, ...(pageToken !== undefined && { pageToken }) });
  const nextPageToken = await showPages(context, pages, REQUEST_COLUMNS, "No requests match.");
  if (nextPageToken !== "") context.output.note(`For older requests, add --page-token ${nextPageToken}`);
}

async function showRequest(context: Context, id: string): Promise<void> {
  const { usage } = await context.connect(await loginCredential(context.settings));
  const { request, receipt } = await usage.getRequest({ id });
  const row = fromProtoRequest(requirePresent(request));
  const view = { ...row, ...fromProtoReceipt(row, receipt) };
  context.output.data(view, () => block(requestFields(view)));
}
