import { open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import type { Context } from "../context.ts";
import { CliError, ExitCode, usageError } from "../errors.ts";
import { loginCredential } from "../session.ts";
import { fromProtoRequest, type RequestView } from "../views/request.ts";
import { withExamples } from "./examples.ts";
import { type FilterOptions, toFilter, withFilters } from "./request-filter.ts";

type Format = "csv" | "jsonl";

interface ExportOptions extends FilterOptions {
  readonly format: Format;
  readonly output: string;
  readonly resume?: boolean;
}

/** How far an export is, beside its file for as long as it is not complete. */
interface Progress {
  /** What is exported: an export goes on only with the same. */
  readonly what: string;
  /** Not given by the caller, it is when the export began: what arrives meanwhile is not in it. */
  readonly to: string;
  readonly pageToken: string;
  readonly rows: number;
  /** Of the file: what lies behind is of a page that was not finished. */
  readonly bytes: number;
}

const PAGE_SIZE = 1000;

export function addExport(requests: Command, context: Context): void {
  const command = withFilters(requests.command("export"))
    .description("write the request log to a file, newest first")
    .addOption(new Option("--format <format>", "csv or jsonl").choices(["csv", "jsonl"]).makeOptionMandatory())
    .requiredOption("--output <file>", "the file; it must not exist yet, unless --resume goes on with it")
    .option("--resume", "go on with an export that was interrupted, with the same options")
    // An option that the list has too is taken for the list's, wherever it stands.
    .action((_: ExportOptions, self: Command) => exportRequests(context, self.optsWithGlobals()));
  withExamples(
    command,
    "cloud requests export --format csv --output may.csv --from 2026-05-01T00:00:00Z --to 2026-06-01T00:00:00Z",
    "cloud requests export --format jsonl --output all.jsonl --resume",
  );
}

async function exportRequests(context: Context, options: ExportOptions): Promise<void> {
  const { format, output, resume = false } = options;
  const { usage } = await context.connect(await loginCredential(context.settings));
  let progress = resume ? await readProgress(options) : await begin(options);
  const filter = toFilter({ ...options, to: new Date(progress.to) });
  const file = await open(output, "r+");
  try {
    await file.truncate(progress.bytes);
    for (let more = true; more;) {
      const page = { filter, pageSize: PAGE_SIZE, pageToken: progress.pageToken };
      const { requests, nextPageToken } = await usage.listRequests(page);
      const bytes = Buffer.from(requests.map((request) => line(format, fromProtoRequest(request))).join(""));
      await file.write(bytes, 0, bytes.length, progress.bytes);
      await file.sync();
      more = nextPageToken !== "";
      const rows = progress.rows + requests.length;
      const { what, to } = progress;
      progress = { what, to, pageToken: nextPageToken, rows, bytes: progress.bytes + bytes.length };
      if (more) await writeFile(progressOf(output), JSON.stringify(progress), { mode: 0o600 });
      if (more && context.stderr.isTTY === true) context.stderr.write(`\r${rows} requests`);
    }
  } finally {
    await file.close();
  }
  await rm(progressOf(output), { force: true });
  if (context.stderr.isTTY === true) context.stderr.write("\r");
  context.output.note(`${progress.rows} requests in ${output}`);
  context.output.data({ file: output, format, request_count: progress.rows }, () => "");
}

const progressOf = (output: string): string => `${output}.progress`;

function whatOf({ format, key, model, status, from, to }: ExportOptions): string {
  return JSON.stringify({ format, key, model, status, from, to });
}

async function begin(options: ExportOptions): Promise<Progress> {
  const { format, output, to = new Date() } = options;
  const head = format === "csv" ? `${CSV_COLUMNS.join(",")}\r\n` : "";
  try {
    await writeFile(output, head, { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (await exists(output)) {
      throw usageError(`--output: ${output} exists`, "Say --resume to go on with it, or name another file.");
    }
    throw unwritable(output, error);
  }
  const progress = {
    what: whatOf(options),
    to: to.toISOString(),
    pageToken: "",
    rows: 0,
    bytes: Buffer.byteLength(head),
  };
  await writeFile(progressOf(output), JSON.stringify(progress), { mode: 0o600 });
  return progress;
}

async function readProgress(options: ExportOptions): Promise<Progress> {
  const { output } = options;
  const text = await readFile(progressOf(output), "utf8").catch(() => undefined);
  if (text === undefined || !(await exists(output))) {
    throw usageError(`--resume: there is nothing to go on with at ${output}`, "An export that is complete needs none.");
  }
  const progress = JSON.parse(text) as Progress;
  if (progress.what === whatOf(options)) return progress;
  throw usageError("--resume: the export that was interrupted had other options", `It had ${progress.what}.`);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function unwritable(output: string, error: unknown): CliError {
  const why = error instanceof Error ? error.message : String(error);
  return new CliError(ExitCode.failed, "failed_precondition", "FILE_UNWRITABLE", `cannot write ${output}: ${why}`);
}

/** The fields of `--json`, in this order. */
const CSV_COLUMNS = [
  "id",
  "key_id",
  "status",
  "endpoint",
  "model",
  "provider",
  "prompt_tokens",
  "completion_tokens",
  "cost_micro_usd",
  "reserved_micro_usd",
  "estimated",
  "streamed",
  "http_status",
  "error_code",
  "denied_by_policy_id",
  "denied_by_binding_id",
  "denied_rule",
  "shadow_denials",
  "created_at",
  "completed_at",
] as const satisfies readonly (keyof RequestView)[];

function line(format: Format, request: RequestView): string {
  if (format === "jsonl") return `${JSON.stringify(request)}\n`;
  return `${CSV_COLUMNS.map((column) => csvCell(request[column])).join(",")}\r\n`;
}

/** RFC 4180; absent is empty, and a list is JSON. */
function csvCell(value: RequestView[keyof RequestView]): string {
  const text = value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
