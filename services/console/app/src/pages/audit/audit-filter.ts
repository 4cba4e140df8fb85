import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { actionNames, AUTH_ACTIONS, POLICY_ACTIONS, USAGE_ACTIONS } from "@routeplane/audit/actions";
import type { AuditFilterSchema } from "@routeplane/contracts/audit";
import { timeRangeOf } from "../../format/time-range.ts";

/** Filters of the audit log in the address. */
export const AUDIT_FILTER_NAMES = ["actor", "action", "target", "range", "from", "to"] as const;
export type AuditFilters = Readonly<Record<(typeof AUDIT_FILTER_NAMES)[number], string>>;

/** Range that is shown if the address gives none. It is long, because changes are rarer than requests. */
export const DEFAULT_RANGE = "30d";

/** Services that have an audit log. */
export const LOGS = ["auth", "policy", "usage"] as const;
export type LogName = (typeof LOGS)[number];

/** Actions of each log. */
export const ACTIONS: Readonly<Record<LogName, readonly string[]>> = {
  auth: actionNames(AUTH_ACTIONS),
  policy: actionNames(POLICY_ACTIONS),
  usage: actionNames(USAGE_ACTIONS),
};

/**
 * Logs that can have entries of an action: a single one, because the other services refuse the action; all for no action, or for an action
 * of a newer node.
 */
export function logsOf(action: string): readonly LogName[] {
  const log = LOGS.find((name) => ACTIONS[name].includes(action));
  return log === undefined ? LOGS : [log];
}

/** Converts the filters of the address for the services. A range that ends now has no end. */
export function toAuditFilter(filters: AuditFilters, now: number): MessageInitShape<typeof AuditFilterSchema> {
  const { from, to } = timeRangeOf(filters, now, DEFAULT_RANGE);
  const isFixed = Date.parse(filters.from) < Date.parse(filters.to);
  return {
    actorId: filters.actor,
    action: filters.action,
    targetId: filters.target,
    from: timestampFromDate(from),
    ...(isFixed && { to: timestampFromDate(to) }),
  };
}
