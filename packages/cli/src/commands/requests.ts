import type { Command } from "commander";
import { idArgument, pageSizeArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { loginCredential } from "../session.ts";
import { showList } from "../views/list.ts";
import { fromProtoRequest, REQUEST_COLUMNS } from "../views/request.ts";
import { fromProtoText } from "../views/values.ts";
import { withExamples } from "./examples.ts";

interface RequestsOptions {
  readonly limit: number;
  readonly pageToken?: string;
}

export function addRequestsCommand(cloud: Command, context: Context): void {
  const requests = cloud
    .command("requests")
    .description("the request log of the namespace, newest first, one page at a time")
    .option("--limit <number>", "rows on the page, at most 1000", pageSizeArgument, 25)
    .option("--page-token <token>", "next_page_token of the page before", idArgument)
    .action((options: RequestsOptions) => listRequests(context, options));
  withExamples(requests, "cloud requests --limit 25", "cloud requests --json");
}

async function listRequests(context: Context, { limit, pageToken = "" }: RequestsOptions): Promise<void> {
  const { usage } = await context.connect(await loginCredential(context.settings));
  const { requests, nextPageToken } = await usage.listRequests({ pageSize: limit, pageToken });
  const list = { data: requests.map(fromProtoRequest), next_page_token: fromProtoText(nextPageToken) };
  showList(context, list, REQUEST_COLUMNS, "There are no requests here yet.");
  if (nextPageToken !== "") {
    context.output.note(`Older ones: routeplane cloud requests --limit ${limit} --page-token ${nextPageToken}`);
  }
}
