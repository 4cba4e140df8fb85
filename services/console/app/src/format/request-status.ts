import { RequestStatus } from "@routeplane/contracts/usage";

/** Names of the statuses of requests, as in filters, tables and the command line. */
export const STATUS_NAMES = ["succeeded", "failed", "cancelled", "denied", "pending", "unknown"] as const;
export type StatusName = (typeof STATUS_NAMES)[number];

const STATUSES: Readonly<Record<StatusName, RequestStatus>> = {
  succeeded: RequestStatus.SUCCEEDED,
  failed: RequestStatus.FAILED,
  cancelled: RequestStatus.CANCELLED,
  denied: RequestStatus.DENIED,
  pending: RequestStatus.PENDING,
  unknown: RequestStatus.UNKNOWN,
};

/** Status with a name; undefined for any other text. */
export function statusOf(name: string): RequestStatus | undefined {
  return Object.hasOwn(STATUSES, name) ? STATUSES[name as StatusName] : undefined;
}

/** Name of a status; `unknown` also for a status that only newer nodes send. */
export function statusNameOf(status: RequestStatus): StatusName {
  return STATUS_NAMES.find((name) => STATUSES[name] === status) ?? "unknown";
}
