import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { RequestStatus } from "@routeplane/contracts/usage";
import type { Command } from "commander";
import { idArgument, type StatusName, statusArgument, timeArgument } from "../../arguments.ts";

/** Which requests of the log. */
export interface FilterOptions {
  readonly key?: string;
  readonly model?: string;
  readonly status?: StatusName;
  readonly from?: Date;
  readonly to?: Date;
}

export function withFilters(command: Command): Command {
  return command
    .option("--key <name|id>", "Show only requests of this key", idArgument)
    .option("--model <id>", "only requests to this model", idArgument)
    .option(
      "--status <status>",
      "only those that are pending, succeeded, failed, cancelled, denied or unknown",
      statusArgument,
    )
    .option("--from <time>", "RFC 3339 with an offset: only from then on", timeArgument)
    .option("--to <time>", "RFC 3339 with an offset: only before then", timeArgument);
}

const STATUSES: Readonly<Record<StatusName, RequestStatus>> = {
  pending: RequestStatus.PENDING,
  succeeded: RequestStatus.SUCCEEDED,
  failed: RequestStatus.FAILED,
  cancelled: RequestStatus.CANCELLED,
  denied: RequestStatus.DENIED,
  unknown: RequestStatus.UNKNOWN,
};

export function toFilter({ key = "", model = "", status, from, to }: FilterOptions) {
  return {
    keyId: key,
    model,
    status: status === undefined ? RequestStatus.UNSPECIFIED : STATUSES[status],
    ...(from && { from: timestampFromDate(from) }),
    ...(to && { to: timestampFromDate(to) }),
  };
}
