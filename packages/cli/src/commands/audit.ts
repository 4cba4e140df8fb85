import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AuditEntry } from "@routeplane/contracts/audit";
import { toPageToken } from "@routeplane/rpc/page-token";
import type { Command } from "commander";
import { actionArgument, actorArgument, idArgument, type LoggedAction, namespaceArgument } from "../arguments.ts";
import { rowsArgument, targetArgument } from "../arguments.ts";
import type { NodeClient } from "../client.ts";
import type { Context } from "../context.ts";
import { usageError } from "../errors.ts";
import { loginCredential, operatorCredential } from "../session.ts";
import { AUDIT_COLUMNS, fromProtoAuditEntry } from "../views/audit.ts";
import { pagesOf, type ReadPage, showPages } from "../views/list.ts";
import { requirePresent } from "../views/values.ts";
import { withExamples } from "./examples.ts";
import { addRangeOptions, type RangeOptions, type TimeRange, withRange } from "./time-range.ts";

interface AuditFilter {
  readonly actor?: string;
  readonly action?: LoggedAction;
  readonly target?: string;
  readonly namespace?: string;
  readonly node?: boolean;
  readonly limit: number;
  readonly pageToken?: string;
}

type AuditOptions = AuditFilter & TimeRange;

export function addAuditCommands(audit: Command, context: Context): void {
  withExamples(audit, "cloud audit list");

  const list = audit
    .command("list")
    .description("List changes, newest first, page by page")
    .option("-n, --namespace <name|id>", "Name or id of the namespace (operator only)", namespaceArgument)
    .option("--node", "Show the whole node, or your account (operator only)")
    .option("--actor <id>", "Id of the caller that made them (key_… or op_…)", actorArgument)
    .option("--action <action>", "Action, e.g. key.revoke", actionArgument)
    .option("--target <id>", "Id of the changed resource, e.g. key_… or pol_…", targetArgument)
    .option("--limit <number>", "Rows to list", rowsArgument, 25)
    .option("--page-token <token>", "Token of the page, from next_page_token", idArgument)
    .addHelpText("after", "\nCovers keys, namespaces, policies, bindings, accounts, operators and dead letters.")
    .action((options: AuditFilter & RangeOptions) => listEntries(context, withRange(options)));
  addRangeOptions(list);
  withExamples(
    list,
    "cloud audit list",
    "cloud audit list --target key_01jxyz…",
    "cloud audit list --action key.revoke --since 24h",
    "cloud audit list --namespace staging",
    "cloud audit list --node --actor op_01jxyz…",
  );
}

async function listEntries(context: Context, options: AuditOptions): Promise<void> {
  const { namespace, node = false } = options;
  if (node && namespace !== undefined) throw usageError("--node and --namespace cannot be combined: give one of them");
  const credential = node || namespace !== undefined ? operatorCredential : loginCredential;
  const clients = await context.connect(await credential(context.settings));
  const filter = toFilter(options, namespace === undefined ? "" : await namespaceIdOf(clients, namespace));
  const logs = { auth: clients.audit, policy: clients.policyAudit, usage: clients.usageAudit };
  const { action } = options;
  const queried = action === undefined ? Object.values(logs) : [logs[action.service]];
  const { limit, pageToken } = options;
  const page = { limit, ...(pageToken !== undefined && { pageToken }) };
  const pages = pagesOf(mergedPages(queried, filter), fromProtoAuditEntry, page);
  const next = await showPages(context, pages, AUDIT_COLUMNS, "No entries match.");
  if (next !== "") context.output.note(`For older entries, add --page-token ${next}`);
}

type AuditLog = NodeClient["audit"] | NodeClient["policyAudit"] | NodeClient["usageAudit"];

/** Reads pages of the merged logs of services. Ids sort by time: the newest entries of each page are the newest of all. */
function mergedPages(logs: readonly AuditLog[], filter: ReturnType<typeof toFilter>): ReadPage<AuditEntry> {
  return async ({ pageSize, pageToken }) => {
    const pages = await Promise.all(logs.map((log) => log.listAuditEntries({ filter, pageSize, pageToken })));
    const all = pages.flatMap(({ entries }): readonly AuditEntry[] => entries).filter(isReadByAll(pages));
    const newestFirst = all.toSorted((left, right) => (left.id < right.id ? 1 : -1));
    const rows = newestFirst.slice(0, pageSize);
    const more = newestFirst.length > rows.length || pages.some(({ nextPageToken }) => nextPageToken !== "");
    const last = rows.at(-1);
    return { rows, nextPageToken: more && last !== undefined ? toPageToken("audit-entries", last.id) : "" };
  };
}

/**
 * Condition on an entry that no log has entries between it and the end of its page: a page can end before it has as many entries as
 * were asked for, and older entries of another log would then come before the rest of that log's.
 */
function isReadByAll(pages: readonly { readonly entries: readonly AuditEntry[]; readonly nextPageToken: string }[]) {
  const ends = pages.flatMap(({ entries, nextPageToken }) => (nextPageToken === "" ? [] : (entries.at(-1)?.id ?? [])));
  return ({ id }: AuditEntry): boolean => ends.every((end) => id >= end);
}

/** Id of a namespace. An id is not looked up: the namespace may be deleted, and reading it needs another scope. */
async function namespaceIdOf({ namespaces }: NodeClient, nameOrId: string): Promise<string> {
  if (nameOrId.startsWith("ns_")) return nameOrId;
  return requirePresent((await namespaces.getNamespace({ namespace: nameOrId })).namespace).id;
}

function toFilter({ actor = "", action, target = "", from, to }: AuditOptions, namespaceId: string) {
  return {
    actorId: actor,
    action: action?.name ?? "",
    targetId: target,
    namespaceId,
    ...(from && { from: timestampFromDate(from) }),
    ...(to && { to: timestampFromDate(to) }),
  };
}
