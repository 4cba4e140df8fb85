import type { RequestView } from "./request.ts";

/** File format of an exported request log. */
export type ExportFormat = "csv" | "jsonl";

/** Text before the first row. */
export function exportHead(format: ExportFormat): string {
  return format === "csv" ? `${CSV_COLUMNS.join(",")}\r\n` : "";
}

export function exportLine(format: ExportFormat, request: RequestView): string {
  if (format === "jsonl") return `${JSON.stringify(request)}\n`;
  return `${CSV_COLUMNS.map((column) => csvCell(request[column])).join(",")}\r\n`;
}

/** CSV cell as in RFC 4180. Null is empty, and a list is JSON. */
function csvCell(value: RequestView[keyof RequestView]): string {
  const text = value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Columns of the CSV, with the names of the fields of `--json`. */
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
