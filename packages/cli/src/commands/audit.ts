import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AuditEntry } from "@routeplane/contracts/audit";
import { toPageToken } from "@routeplane/rpc/page-token";
import type { Command } from "commander";
import { actionArgument, actorArgument, idArgument, type LoggedAction } from "../arguments.ts";
import { pageSizeArgument, targetArgument, timeArgument } from "../arguments.ts";
import type { NodeClient } from "../client.ts";
import type { Context } from "../context.ts";
import { usageError } from "../errors.ts";
import { loginCredential, operatorCredential } from "../session.ts";
import { AUDIT_COLUMNS, fromProtoAuditEntry } from "../views/audit.ts";
import { showList } from "../views/list.ts";
import { requirePresent } from "../views/values.ts";
import { withExamples } from "./examples.ts";
import { requireRange } from "./time-range.ts";

interface AuditOptions {
  readonly actor?: string;
  readonly action?: LoggedAction;
  readonly target?: string;
  readonly from?: Date;
  readonly to?: Date;
  readonly namespace?: string;
  readonly node?: boolean;
  readonly limit: number;
  readonly pageToken?: string;
}

export function addAuditCommands(cloud: Command, context: Context): void {
  const audit = cloud.command("audit").description("who changed what");
  withExamples(audit, "cloud audit list");

  const list = audit
    .command("list")
    .description(
      "changes of keys, namespaces, policies, bindings, accounts, operators and dead letters, newest first, page by page",
    )
    .option("--namespace <name|id>", "of this namespace (operator only)", idArgument)
    .option("--node", "of the whole node, or of the account that yours is limited to (operator only)")
    .option("--actor <id>", "Show only what this key_… or op_… did", actorArgument)
    .option("--action <action>", "Show only this action, e.g. key.revoke", actionArgument)
    .option("--target <id>", "Show only changes of this resource, e.g. key_… or pol_…", targetArgument)
    .option("--from <time>", "RFC 3339 with an offset: only from then on", timeArgument)
    .option("--to <time>", "RFC 3339 with an offset: only before then", timeArgument)
    .option("--limit <number>", "rows on the page, at most 1000", pageSizeArgument, 25)
    .option("--page-token <token>", "next_page_token of the page before", idArgument)
    .action((options: AuditOptions) => listEntries(context, options));
  withExamples(
    list,
    "cloud audit list",
    "cloud audit list --target key_01jxyz…",
    "cloud audit list --action key.revoke",
    "cloud audit list --namespace staging",
    "cloud audit list --node --actor op_01jxyz…",
  );
}

/** Each service keeps the log of its own changes. One page of all is the newest of each page: ids sort by time. */
async function listEntries(context: Context, options: AuditOptions): Promise<void> {
  const { namespace, node = false } = options;
  requireRange(options);
  if (node && namespace !== undefined) throw usageError("--node and --namespace do not go together");
  const credential = node || namespace !== undefined ? operatorCredential : loginCredential;
  const clients = await context.connect(await credential(context.settings));
  const request = toRequest(options, namespace === undefined ? "" : await namespaceIdOf(clients, namespace));
  const logs = { auth: clients.audit, policy: clients.policyAudit, usage: clients.usageAudit };
  const { action } = options;
  const asked = action === undefined ? Object.values(logs) : [logs[action.service]];
  const pages = await Promise.all(asked.map((log) => log.listAuditEntries(request)));
  const all = pages.flatMap(({ entries }): readonly AuditEntry[] => entries);
  const newestFirst = all.toSorted((left, right) => (left.id < right.id ? 1 : -1));
  const shown = newestFirst.slice(0, options.limit);
  const more = all.length > shown.length || pages.some(({ nextPageToken }) => nextPageToken !== "");
  const last = shown.at(-1);
  const next = more && last !== undefined ? toPageToken("audit-entries", last.id) : null;
  const list = { data: shown.map(fromProtoAuditEntry), next_page_token: next };
  showList(context, list, AUDIT_COLUMNS, "No entries match.");
  if (next !== null) context.output.note(`Older ones: add --page-token ${next}`);
}

/** An id is taken as it is: it may be of a namespace that is gone, and asking needs one more scope. */
async function namespaceIdOf({ namespaces }: NodeClient, nameOrId: string): Promise<string> {
  if (nameOrId.startsWith("ns_")) return nameOrId;
  return requirePresent((await namespaces.getNamespace({ namespace: nameOrId })).namespace).id;
}

function toRequest(options: AuditOptions, namespaceId: string) {
  const { actor = "", action, target = "", from, to, limit, pageToken = "" } = options;
  const filter = {
    actorId: actor,
    action: action?.name ?? "",
    targetId: target,
    namespaceId,
    ...(from && { from: timestampFromDate(from) }),
    ...(to && { to: timestampFromDate(to) }),
  };
  return { filter, pageSize: limit, pageToken };
}
