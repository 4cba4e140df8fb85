import { once } from "node:events";
import { type Command, Option } from "commander";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { csvLine } from "../../output/csv.ts";
import { startProgress } from "../../output/progress.ts";
import { RequestNames } from "../../request-names.ts";
import { loginCredential } from "../../session.ts";
import type { ListPage } from "../../views/list.ts";
import { REQUEST_FIELD_NAMES, type RequestView } from "../../views/requests/request.ts";
import { withExamples } from "../examples.ts";
import { beginExport, resumeExport } from "./export-file.ts";
import { type FilterOptions, toFilter, withFilters } from "./request-filter.ts";
import { readRequests } from "./read-requests.ts";
import { resolveFilter } from "./resolve-filter.ts";
import { type RangeOptions, type TimeRange, withRange } from "../time-range.ts";

/** File format of an exported request log. */
type ExportFormat = "csv" | "jsonl";

interface WrittenOptions extends FilterOptions, RangeOptions {
  readonly format: ExportFormat;
  readonly output: string;
  readonly resume?: boolean;
}

/** Options with the moments of the range, and the range as it was written, which two parts of one export have in common. */
type ExportOptions = Omit<WrittenOptions, keyof RangeOptions> &
  TimeRange & { readonly writtenRange: { readonly from: string | undefined; readonly to: string | undefined } };

const STDOUT = "-";

export function addExportCommand(requests: Command, context: Context): void {
  const command = withFilters(requests.command("export"))
    .description("Export the request log, newest first")
    .addOption(new Option("--format <format>", "Format of the rows").choices(["csv", "jsonl"]).makeOptionMandatory())
    .addOption(
      new Option("-o, --output <file>", "File to write; must not exist without --resume").default(STDOUT, "stdout"),
    )
    .option("--resume", "Resume an interrupted export, with the same options")
    // Commander assigns an option that list and export share to the list, wherever it stands.
    .action((_: WrittenOptions, self: Command) => {
      for (const option of onlyOf(requests, self)) {
        if (requests.getOptionValueSource(option.attributeName()) === "cli") {
          throw usageError(`option '${option.flags}' cannot be used with export, which writes the whole log`);
        }
      }
      const options = self.optsWithGlobals<WrittenOptions>();
      const writtenRange = { from: (options.from ?? options.since)?.text, to: options.to?.text };
      return exportRequests(context, { ...withRange(options), writtenRange });
    })
    .configureHelp({
      showGlobalOptions: true,
      visibleGlobalOptions: () =>
        requests
          .createHelp()
          .visibleGlobalOptions(requests)
          .filter(({ long }) => long !== "--output"),
    });
  withExamples(
    command,
    "cloud requests export --format csv --output may.csv --from 2026-05-01 --to 2026-06-01",
    "cloud requests export --format csv --output may.csv --from 2026-05-01 --to 2026-06-01 --resume",
    "cloud requests export --format jsonl --status failed | jq .error_code",
  );
}

/** Options of the list that the export does not have. */
function onlyOf(list: Command, { options }: Command): readonly Option[] {
  return list.options.filter(({ long }) => options.every((own) => own.long !== long));
}

async function exportRequests(context: Context, options: ExportOptions): Promise<void> {
  const { output, resume = false } = options;
  if (output === STDOUT && resume) {
    throw usageError("--resume: only an export to a file can go on", "Name the file with --output.");
  }
  const credential = await loginCredential(context.settings);
  const client = await context.connect(credential);
  const resolved = await resolveFilter(context, credential, options);
  await (output === STDOUT ? toStdout(context, client, resolved) : toFile(context, client, resolved));
}

async function toStdout(context: Context, client: NodeClient, options: ExportOptions): Promise<void> {
  const names = new RequestNames(client, context.output);
  const { stdout } = context;
  const { format, from, to = new Date() } = options;
  let rows = 0;
  let head = exportHead(format);
  const progress = startProgress(context, "requests");
  for await (const page of requestPages(client, names, options, { from, to, pageToken: "" })) {
    rows += page.rows.length;
    if (!stdout.write(head + exportLines(format, page.rows))) await once(stdout, "drain");
    head = "";
    progress.show(rows);
  }
  progress.clear();
  context.output.note(`${rows} requests`);
}

async function toFile(context: Context, client: NodeClient, options: ExportOptions): Promise<void> {
  const names = new RequestNames(client, context.output);
  const { format, output, resume, from, to = new Date() } = options;
  const selection = JSON.stringify(selectionOf(options));
  const file = await (resume
    ? resumeExport(output, selection)
    : beginExport(output, selection, { from, to }, exportHead(format)));
  const progress = startProgress(context, "requests");
  try {
    for await (const { rows, nextPageToken } of requestPages(client, names, options, file.progress)) {
      await file.add(exportLines(format, rows), rows.length, nextPageToken);
      progress.show(file.progress.rows);
    }
  } finally {
    await file.close();
  }
  progress.clear();
  await file.complete();
  const { rows } = file.progress;
  context.output.note(`${rows} requests in ${output}`);
  context.output.data({ file: output, format, request_count: rows }, () => "");
}

/** Pages of the request log from a page token on, of requests that were received between `from` and `to`. */
function requestPages(
  client: NodeClient,
  names: RequestNames,
  options: ExportOptions,
  { from, to, pageToken }: { readonly from?: Date | undefined; readonly to: Date; readonly pageToken: string },
): AsyncIterable<ListPage<RequestView>> {
  return readRequests(client, names, toFilter({ ...options, ...(from && { from }), to }), { pageToken });
}

function exportLines(format: ExportFormat, rows: readonly RequestView[]): string {
  return rows.map((request) => exportLine(format, request)).join("");
}

/** Options that two parts of one export must have in common. */
function selectionOf({ format, key, model, provider, status, writtenRange }: ExportOptions): object {
  return { format, key, model, provider, status, ...writtenRange };
}

/** Text before the first row. */
function exportHead(format: ExportFormat): string {
  return format === "csv" ? csvLine(REQUEST_FIELD_NAMES) : "";
}

function exportLine(format: ExportFormat, request: RequestView): string {
  if (format === "jsonl") return `${JSON.stringify(request)}\n`;
  return csvLine(REQUEST_FIELD_NAMES.map((name) => request[name]));
}
