import { currentOrigin } from "@routeplane/runtime";
import pg from "pg";
import { THIS_NODE } from "./row-level-security.ts";

/**
 * The rows that row-level security shows a transaction: those of one namespace, account or token lookup id, or those of the
 * whole node. An empty scope shows none.
 */
export interface Scope {
  readonly namespaceId?: string;
  readonly accountId?: string;
  readonly lookupId?: string;
  /** Every row of the tables above namespaces (`openToNode`). */
  readonly node?: true;
}

/**
 * SQL that sets the scope, the origin and other settings of a transaction, for that transaction only: behind a pooler, the next one may run
 * on another connection. It sets every setting, so that those which the scope lacks are empty whatever the connection did before. It has no
 * parameters, so that it can follow a BEGIN in one message.
 *
 * SET LOCAL is not planned: nine settings take Postgres 21 us, and 53 us as a SELECT of `set_config`, whose columns the driver also reads.
 */
export function settingsOf(
  { namespaceId = "", accountId = "", lookupId = "", node }: Scope,
  others: Readonly<Record<string, string>>,
): string {
  const setting = (name: string, value: string) => `set local ${name} = ${pg.escapeLiteral(value)}`;
  const all = [
    setting("routeplane.namespace_id", namespaceId),
    setting("routeplane.account_id", accountId),
    setting("routeplane.lookup_id", lookupId),
    setting("routeplane.node", node ? THIS_NODE : ""),
    setting("routeplane.origin", JSON.stringify(currentOrigin() ?? {})),
    ...Object.entries(others).map(([name, value]) => setting(name, value)),
  ];
  return all.join("; ");
}
