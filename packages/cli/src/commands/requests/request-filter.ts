import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { RequestStatus } from "@routeplane/contracts/usage";
import type { Command } from "commander";
import { idArgument, keyArgument, statusArgument, type StatusName } from "../../arguments.ts";
import { addRangeOptions, type TimeRange } from "../time-range.ts";

/** Options that select requests of the log. */
export interface FilterOptions {
  readonly key?: string;
  readonly model?: string;
  readonly provider?: string;
  readonly status?: StatusName;
}

/** Selection of requests, with the moments of its range. */
export type RequestSelection = FilterOptions & TimeRange;

export function withFilters(command: Command): Command {
  return addRangeOptions(command)
    .option("--key <name|id>", "Name or id of the key", keyArgument)
    .option("--model <id>", "Model, as id or provider/id", idArgument)
    .option("--provider <name>", "Provider of the model", idArgument)
    .option("--status <status>", "Status of the requests, see below", statusArgument)
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

export function toFilter({ key = "", model = "", provider = "", status, from, to }: RequestSelection) {
  return {
    keyId: key,
    model,
    provider,
    status: status === undefined ? RequestStatus.UNSPECIFIED : STATUSES[status],
    ...(from && { from: timestampFromDate(from) }),
    ...(to && { to: timestampFromDate(to) }),
  };
}
