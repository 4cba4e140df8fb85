import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { RequestStatus } from "@routeplane/contracts/usage";
import type { Command } from "commander";
import { idArgument, type StatusName, statusArgument, timeArgument } from "../../arguments.ts";

/** Options that select requests of the log. */
export interface FilterOptions {
  readonly key?: string;
  readonly model?: string;
  readonly provider?: string;
  readonly status?: StatusName;
  readonly from?: Date;
  readonly to?: Date;
}

export function withFilters(command: Command): Command {
  return command
    .option("--key <name|id>", "Name or id of the key", idArgument)
    .option("--model <id>", "Model, as id or provider/id", idArgument)
    .option("--provider <name>", "Provider of the model", idArgument)
    .option("--status <status>", "Status of the requests, see below", statusArgument)
    .option("--from <time>", "Start, RFC 3339 with an offset", timeArgument)
    .option("--to <time>", "End, exclusive, RFC 3339 with an offset", timeArgument)
    .addHelpText("after", `\nStatuses: ${Object.keys(STATUSES).join(", ")}.`);
}

const STATUSES: Readonly<Record<StatusName, RequestStatus>> = {
  pending: RequestStatus.PENDING,
  succeeded: RequestStatus.SUCCEEDED,
  failed: RequestStatus.FAILED,
  cancelled: RequestStatus.CANCELLED,
  denied: RequestStatus.DENIED,
  unknown: RequestStatus.UNKNOWN,
};

export function toFilter({ key = "", model = "", provider = "", status, from, to }: FilterOptions) {
  return {
    keyId: key,
    model,
    provider,
    status: status === undefined ? RequestStatus.UNSPECIFIED : STATUSES[status],
    ...(from && { from: timestampFromDate(from) }),
    ...(to && { to: timestampFromDate(to) }),
  };
}
