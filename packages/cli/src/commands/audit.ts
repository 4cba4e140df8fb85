import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AuditEntry } from "@routeplane/contracts/audit";
import { toPageToken } from "@routeplane/rpc/page-token";
import type { Command } from "commander";
import { idArgument, pageSizeArgument, timeArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { loginCredential } from "../session.ts";
import { AUDIT_COLUMNS, fromProtoAuditEntry } from "../views/audit.ts";
import { showList } from "../views/list.ts";
import { withExamples } from "./examples.ts";

interface AuditOptions {
  readonly actor?: string;
  readonly action?: string;
  readonly target?: string;
  readonly from?: Date;
  readonly to?: Date;
  readonly limit: number;
  readonly pageToken?: string;
}

export function addAuditCommands(cloud: Command, context: Context): void {
  const audit = cloud.command("audit").description("who changed what");
  withExamples(audit, "cloud audit list");

  const list = audit
    .command("list")
    .description("changes of keys, namespaces, policies and bindings, newest first, one page at a time")
    .option("--actor <id>", "only what this key_… or op_… did", idArgument)
    .option("--action <action>", "only this action, e.g. key.create", idArgument)
    .option("--target <id>", "only changes of this key_…, ns_…, pol_… or bnd_…", idArgument)
    .option("--from <time>", "RFC 3339 with an offset: only from then on", timeArgument)
    .option("--to <time>", "RFC 3339 with an offset: only before then", timeArgument)
    .option("--limit <number>", "rows on the page, at most 1000", pageSizeArgument, 25)
    .option("--page-token <token>", "next_page_token of the page before", idArgument)
    .action((options: AuditOptions) => listEntries(context, options));
  withExamples(
    list,
    "cloud audit list",
    "cloud audit list --target key_01jxyz…",
    "cloud audit list --action key.create",
  );
}

/** Each service keeps the log of its own changes. One page of both is the newest of each page: ids sort by time. */
async function listEntries(context: Context, options: AuditOptions): Promise<void> {
  const credential = await loginCredential(context.settings);
  const { audit, policyAudit } = await context.connect(credential);
  const request = toRequest(options);
  const isOperator = credential.token.startsWith("rpo_");
  const pages = await Promise.all([
    audit.listAuditEntries(request),
    ...(isOperator ? [] : [policyAudit.listAuditEntries(request)]),
  ]);
  const all = pages.flatMap(({ entries }): readonly AuditEntry[] => entries);
  const newestFirst = all.toSorted((left, right) => (left.id < right.id ? 1 : -1));
  const shown = newestFirst.slice(0, options.limit);
  const more = all.length > shown.length || pages.some(({ nextPageToken }) => nextPageToken !== "");
  const last = shown.at(-1);
  const next = more && last !== undefined ? toPageToken("audit-entries", last.id) : null;
  const list = { data: shown.map(fromProtoAuditEntry), next_page_token: next };
  showList(context, list, AUDIT_COLUMNS, "Nothing that matches was changed.");
  if (next !== null) context.output.note(`Older ones: add --page-token ${next}`);
}

function toRequest({ actor = "", action = "", target = "", from, to, limit, pageToken = "" }: AuditOptions) {
  const filter = {
    actorId: actor,
    action,
    targetId: target,
    ...(from && { from: timestampFromDate(from) }),
    ...(to && { to: timestampFromDate(to) }),
  };
  return { filter, pageSize: limit, pageToken };
}
