import { toJson } from "./json.ts";

/**
 * CSV by RFC 4180, safe for spreadsheets, which run a cell that starts like a formula. Such a text is prefixed with `'`, as OWASP advises,
 * and so is a text that starts with `'`: a reader who removes one leading `'` gets the original text. Numbers stay numbers.
 */

/** Value of a cell for programs. */
export type CellValue = string | number | bigint | boolean | null | undefined | object;

/** Line of a CSV file. Null is empty, and a list or an object is JSON. */
export function csvLine(values: readonly CellValue[]): string {
  return `${values.map(csvCell).join(",")}\r\n`;
}

function csvCell(value: CellValue): string {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string" && typeof value !== "object") return String(value);
  const text = withoutFormulas(typeof value === "string" ? value : toJson(value));
  return /^[^",;\t\r\n]*$/.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
}

// Characters that spreadsheets read as `=`, `+`, `-` or `@`, with their full-width, small and mathematical forms.
const STARTS = "=+\\-@\\uff1d\\uff0b\\uff0d\\uff20\\ufe66\\ufe62\\ufe63\\ufe6b\\u207a\\u207b\\u208a\\u208b\\u2212";
/**
 * Matches the start of a text that spreadsheets run: one of `STARTS`, after characters that they ignore, or a character that ends a cell.
 */
const FORMULA = new RegExp(`^(?:[\\s\\p{Z}\\p{Cf}\\ufffd"']*[${STARTS}]|[\\t\\r\\n'])`, "u");
/** Matches a formula that would start a cell in a reader that separates cells by `;` or a tab. */
const LATER_FORMULA = new RegExp(`(?<=[;\\t][\\s\\p{Z}\\p{Cf}"']{0,20})(?=[${STARTS}])`, "gu");
// Other control characters end a text in some readers.
const CONTROL = /[\p{Cc}--[\t\r\n]]/gv;

function withoutFormulas(text: string): string {
  const kept = text.replace(CONTROL, "\ufffd");
  const [start] = FORMULA.exec(kept) ?? [];
  if (start === undefined) return kept.replace(LATER_FORMULA, "'");
  return `'${start}${kept.slice(start.length).replace(LATER_FORMULA, "'")}`;
}
