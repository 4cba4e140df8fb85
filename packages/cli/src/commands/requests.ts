import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { RequestStatus } from "@routeplane/contracts/usage";
import type { Command } from "commander";
import { idArgument, pageSizeArgument, type StatusName, statusArgument, timeArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { block } from "../output/table.ts";
import { loginCredential } from "../session.ts";
import { showList } from "../views/list.ts";
import { fromProtoRequest, REQUEST_COLUMNS, requestFields } from "../views/request.ts";
import { fromProtoSet, fromProtoText } from "../views/values.ts";
import { withExamples } from "./examples.ts";

interface FilterOptions {
  readonly key?: string;
  readonly model?: string;
  readonly status?: StatusName;
  readonly from?: Date;
  readonly to?: Date;
}

interface RequestsOptions extends FilterOptions {
  readonly limit: number;
  readonly pageToken?: string;
}

export function addRequestsCommand(cloud: Command, context: Context): void {
  const requests = cloud
    .command("requests")
    .description("the request log of the namespace, newest first, one page at a time")
    .option("--key <id>", "only requests of this key", idArgument)
    .option("--model <id>", "only requests to this model", idArgument)
    .option(
      "--status <status>",
      "only those that are pending, succeeded, failed, cancelled, denied or unknown",
      statusArgument,
    )
    .option("--from <time>", "RFC 3339 with an offset: only from then on", timeArgument)
    .option("--to <time>", "RFC 3339 with an offset: only before then", timeArgument)
    .option("--limit <number>", "rows on the page, at most 1000", pageSizeArgument, 25)
    .option("--page-token <token>", "next_page_token of the page before", idArgument)
    .action((options: RequestsOptions) => listRequests(context, options));
  withExamples(
    requests,
    "cloud requests --limit 25",
    "cloud requests --status denied --from 2026-05-01T00:00:00Z",
    "cloud requests --json",
  );

  const request = cloud.command("request").description("one request of the log");
  withExamples(request, "cloud request get req_01jxyz…");
  const get = request
    .command("get")
    .description("what was reserved and charged for a request, what was decided about it, and when")
    .argument("<id>", "req_…; the response's x-request-id", idArgument)
    .action((id: string) => showRequest(context, id));
  withExamples(get, "cloud request get req_01jxyz…");
}

async function listRequests(context: Context, options: RequestsOptions): Promise<void> {
  const { limit, pageToken = "" } = options;
  const { usage } = await context.connect(await loginCredential(context.settings));
  const answer = await usage.listRequests({ pageSize: limit, pageToken, filter: toFilter(options) });
  const { requests, nextPageToken } = answer;
  const list = { data: requests.map(fromProtoRequest), next_page_token: fromProtoText(nextPageToken) };
  showList(context, list, REQUEST_COLUMNS, "There are no such requests here yet.");
  if (nextPageToken !== "") context.output.note(`Older ones: add --page-token ${nextPageToken}`);
}

function toFilter({ key = "", model = "", status, from, to }: FilterOptions) {
  return {
    keyId: key,
    model,
    status: status === undefined ? RequestStatus.UNSPECIFIED : STATUSES[status],
    ...(from && { from: timestampFromDate(from) }),
    ...(to && { to: timestampFromDate(to) }),
  };
}

const STATUSES: Readonly<Record<StatusName, RequestStatus>> = {
  pending: RequestStatus.PENDING,
  succeeded: RequestStatus.SUCCEEDED,
  failed: RequestStatus.FAILED,
  cancelled: RequestStatus.CANCELLED,
  denied: RequestStatus.DENIED,
  unknown: RequestStatus.UNKNOWN,
};

async function showRequest(context: Context, id: string): Promise<void> {
  const { usage } = await context.connect(await loginCredential(context.settings));
  const { request } = await usage.getRequest({ id });
  const view = fromProtoRequest(fromProtoSet(request));
  context.output.data(view, () => block(requestFields(view)));
}
