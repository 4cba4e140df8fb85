import { REQUEST_FIELD_NAMES, type RequestView } from "./request.ts";

/** File format of an exported request log. */
export type ExportFormat = "csv" | "jsonl";

/** Text before the first row. */
export function exportHead(format: ExportFormat): string {
  return format === "csv" ? `${REQUEST_FIELD_NAMES.join(",")}\r\n` : "";
}

export function exportLine(format: ExportFormat, request: RequestView): string {
  if (format === "jsonl") return `${JSON.stringify(request)}\n`;
  return `${REQUEST_FIELD_NAMES.map((name) => csvCell(request[name])).join(",")}\r\n`;
}

/** CSV cell as in RFC 4180. Null is empty, and a list is JSON. */
function csvCell(value: RequestView[keyof RequestView]): string {
  const text = value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
