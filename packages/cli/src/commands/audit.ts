import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { mergeAuditPages } from "@routeplane/audit/merged-log";
import type { AuditEntry, AuditFilterSchema } from "@routeplane/contracts/audit";
import type { Command } from "commander";
import {
  actionArgument,
  actorArgument,
  entryArgument,
  idArgument,
  type LoggedAction,
  namespaceArgument,
} from "../arguments.ts";
import { rowsArgument, targetArgument } from "../arguments.ts";
import { AuditNames } from "../audit-names.ts";
import type { NodeClient } from "../client.ts";
import type { Context } from "../context.ts";
import { usageError } from "../errors.ts";
import { block } from "../output/table.ts";
import { naming, notFound, resolveChanged, resolveKey } from "../resolve-name.ts";
import { loginCredential, operatorCredential } from "../session.ts";
import { AUDIT_COLUMNS, AUDIT_FIELD_NAMES, auditFields, type AuditView, fromProtoAuditEntry } from "../views/audit.ts";
import { type ListPage, pagesOf, type ReadPage, showPages } from "../views/list.ts";
import { requirePresent } from "../views/values.ts";
import { withExamples } from "./examples.ts";
import { type ExportOptions, exportRows, withExportOptions, writtenRangeOf } from "./export/export-rows.ts";
import { addRangeOptions, type RangeOptions, type TimeRange, withRange } from "./time-range.ts";

interface AuditFilter {
  readonly actor?: string;
  readonly action?: LoggedAction;
  readonly target?: string;
  readonly namespace?: string;
  readonly node?: boolean;
}

interface ListOptions {
  readonly limit: number;
  readonly pageToken?: string;
}

type AuditOptions = AuditFilter & TimeRange;

export function addAuditCommands(audit: Command, context: Context): void {
  withExamples(audit, "cloud audit list", "cloud audit get aud_01jxyz…", "cloud audit export --format csv");

  const list = withFilters(audit.command("list"))
    .description("List changes, newest first, page by page")
    .option("--limit <number>", "Rows to list", rowsArgument, 25)
    .option("--page-token <token>", "Token of the page, from next_page_token", idArgument)
    .addHelpText("after", "\nCovers keys, namespaces, policies, bindings, accounts, operators and dead letters.")
    .action((options: AuditFilter & RangeOptions & ListOptions) => listEntries(context, withRange(options)));
  withExamples(
    list,
    "cloud audit list",
    "cloud audit list --target my-agent",
    "cloud audit list --actor key_01jxyz…",
    "cloud audit list --action key.revoke --since 24h",
    "cloud audit list --namespace staging",
    "cloud audit list --node --actor op_01jxyz…",
  );

  const get = audit
    .command("get")
    .description("Show an entry with every value that changed")
    .argument("<id>", "Id of the entry (aud_…)", entryArgument)
    .option("-n, --namespace <name|id>", "Name or id of the namespace (operator only)", namespaceArgument)
    .option("--node", "Search the whole node, or your account (operator only)")
    .action((id: string, options: AuditFilter) => showEntry(context, id, options));
  withExamples(get, "cloud audit get aud_01jxyz…", "cloud audit get aud_01jxyz… --json");

  const exported = withExportOptions(withFilters(audit.command("export")), audit)
    .description("Export the audit log, newest first")
    .addHelpText("after", "\nWrites the log as it is at the start, page by page.")
    // Commander assigns --output to the program, at any position.
    .action((_: object, self: Command) =>
      exportEntries(context, self.optsWithGlobals<AuditFilter & RangeOptions & ExportOptions>()),
    );
  withExamples(
    exported,
    "cloud audit export --format csv --output may.csv --from 2026-05-01 --to 2026-06-01",
    "cloud audit export --format csv --output may.csv --from 2026-05-01 --to 2026-06-01 --resume",
    "cloud audit export --format jsonl --target daily-cap | jq .changes",
  );
}

/** Adds the options that select entries. */
function withFilters(command: Command): Command {
  command
    .option("-n, --namespace <name|id>", "Name or id of the namespace (operator only)", namespaceArgument)
    .option("--node", "Show the whole node, or your account (operator only)")
    .option("--actor <name|id>", "Name or id of the caller (key_…, op_… or ses_…)", actorArgument)
    .option("--action <action>", "Action, e.g. key.revoke", actionArgument)
    .option("--target <name|id>", "Name or id of what changed, e.g. pol_…", targetArgument);
  return addRangeOptions(command);
}

async function listEntries(context: Context, options: AuditOptions & ListOptions): Promise<void> {
  const { limit, pageToken } = options;
  const page = { limit, ...(pageToken !== undefined && { pageToken }) };
  const pages = await entryPages(context, options, page);
  const next = await showPages(context, pages, AUDIT_COLUMNS, "No entries match.");
  if (next !== "") context.output.note(`For older entries, add --page-token ${next}`);
}

async function showEntry(context: Context, id: string, options: AuditFilter): Promise<void> {
  for await (const { rows } of await entryPages(context, options, { limit: 1 }, id)) {
    for (const view of rows) return context.output.data(view, () => block(auditFields(view)));
  }
  throw notFound(`no entry ${id} in the audit log that the credential in use reads`);
}

async function exportEntries(context: Context, written: AuditFilter & RangeOptions & ExportOptions): Promise<void> {
  const options = withRange(written);
  await exportRows(context, options, async () => {
    const { selected, read } = await entryReader(context, options);
    return {
      rowsName: "entries",
      countName: "entry_count",
      fieldNames: AUDIT_FIELD_NAMES,
      selection: { ...selected, node: options.node, ...writtenRangeOf(written) },
      pages: ({ from, to, pageToken }) => read({ ...(from && { from }), to }, { pageToken }),
    };
  });
}

interface WantedPages {
  readonly limit?: number;
  readonly pageToken?: string;
}

/** Reads pages of the entries that options select, with names. @param id only this entry; empty: all */
async function entryPages(
  context: Context,
  options: AuditOptions,
  page: WantedPages,
  id = "",
): Promise<AsyncIterable<ListPage<AuditView>>> {
  const { read } = await entryReader(context, options);
  return read(options, page, id);
}

/** Reader of the entries that options select. */
interface EntryReader {
  /** Filter without its range, by ids. */
  readonly selected: MessageInitShape<typeof AuditFilterSchema>;
  /** @param id only this entry; empty: all */
  readonly read: (range: TimeRange, page: WantedPages, id?: string) => AsyncIterable<ListPage<AuditView>>;
}

/** Looks up the names in options, and creates the reader. */
async function entryReader(context: Context, options: AuditOptions): Promise<EntryReader> {
  const { namespace, node = false, action } = options;
  if (node && namespace !== undefined) throw usageError("--node and --namespace cannot be combined: give one of them");
  const credential = node || namespace !== undefined ? operatorCredential : loginCredential;
  const client = await context.connect(await credential(context.settings));
  const selected = await toFilter(client, options);
  const logs = { auth: client.audit, policy: client.policyAudit, usage: client.usageAudit };
  const queried = action === undefined ? Object.values(logs) : [logs[action.service]];
  const names = new AuditNames(client);
  const read: EntryReader["read"] = ({ from, to }, page, id = "") => {
    const range = { ...(from && { from: timestampFromDate(from) }), ...(to && { to: timestampFromDate(to) }) };
    const readPage = mergedPages(queried, { ...selected, ...range, id });
    const readNamed: typeof readPage = async (request) => {
      const entries = await readPage(request);
      await names.load(entries.rows);
      return entries;
    };
    return pagesOf(readNamed, (entry) => fromProtoAuditEntry(entry, names), page);
  };
  return { selected, read };
}

type AuditLog = NodeClient["audit"] | NodeClient["policyAudit"] | NodeClient["usageAudit"];

/** Reads pages of the merged logs of services. */
function mergedPages(
  logs: readonly AuditLog[],
  filter: MessageInitShape<typeof AuditFilterSchema>,
): ReadPage<AuditEntry> {
  return async ({ pageSize, pageToken }) => {
    const pages = await Promise.all(logs.map((log) => log.listAuditEntries({ filter, pageSize, pageToken })));
    const { entries, nextPageToken } = mergeAuditPages(pages, pageSize);
    return { rows: entries, nextPageToken };
  };
}

/** Id of a namespace. An id is not looked up: the namespace may be deleted, and reading it needs another scope. */
async function namespaceIdOf({ namespaces }: NodeClient, nameOrId: string): Promise<string> {
  if (nameOrId.startsWith("ns_")) return nameOrId;
  const { namespace } = await naming("namespace", nameOrId, namespaces.getNamespace({ namespace: nameOrId }));
  return requirePresent(namespace).id;
}

async function toFilter(client: NodeClient, { actor, action, target, namespace }: AuditFilter) {
  return {
    actorId: actor === undefined ? "" : await resolveActor(client, actor),
    action: action?.name ?? "",
    targetId: target === undefined ? "" : await resolveChanged(client, target),
    namespaceId: namespace === undefined ? "" : await namespaceIdOf(client, namespace),
  };
}

function resolveActor(client: NodeClient, nameOrId: string): Promise<string> | string {
  return /^(?:op|ses)_/.test(nameOrId) ? nameOrId : resolveKey(client, nameOrId);
}
