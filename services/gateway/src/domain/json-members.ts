/**
 * Edits the top level of a JSON object as text, so that every byte that need not change stays as the client wrote it: a
 * round trip through JSON.parse would round big numbers and drop duplicate members.
 */

export interface Member {
  readonly key: string;
  /** Where the value starts and ends in the text. */
  readonly start: number;
  readonly end: number;
}

/** @param text a valid JSON object: the caller has parsed it */
export function topLevelMembers(text: string): Member[] {
  const members: Member[] = [];
  let at = skipBlank(text, skipBlank(text, 0) + 1);
  while (text[at] !== "}") {
    const keyEnd = endOfString(text, at);
    const key: unknown = JSON.parse(text.slice(at, keyEnd));
    const start = skipBlank(text, skipBlank(text, keyEnd) + 1);
    const end = endOfValue(text, start);
    members.push({ key: String(key), start, end });
    at = skipBlank(text, end);
    if (text[at] === ",") at = skipBlank(text, at + 1);
  }
  return members;
}

/** The text with these members set to new values: replaced where they stand, or added at the end of the object. */
export function setMembers(text: string, members: readonly Member[], values: ReadonlyMap<string, string>): string {
  let result = "";
  let copied = 0;
  for (const { key, start, end } of members) {
    const value = values.get(key);
    if (value === undefined) continue;
    result += text.slice(copied, start) + value;
    copied = end;
  }
  const present = new Set(members.map(({ key }) => key));
  const added = [...values]
    .filter(([key]) => !present.has(key))
    .map(([key, value]) => `${JSON.stringify(key)}:${value}`);
  if (added.length === 0) return result + text.slice(copied);
  const close = text.lastIndexOf("}");
  const comma = members.length === 0 ? "" : ",";
  return `${result}${text.slice(copied, close)}${comma}${added.join(",")}${text.slice(close)}`;
}

function skipBlank(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) <= 0x20) at++;
  return at;
}

/** @param from where the opening quote is */
export function endOfString(text: string, from: number): number {
  for (let quote = text.indexOf('"', from + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === "\\") backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
  }
  return text.length;
}

const SCALAR_END = /[\s,\]}]/g;
const NESTING = /["[\]{}]/g;

export function endOfValue(text: string, from: number): number {
  const first = text[from];
  if (first === '"') return endOfString(text, from);
  if (first !== "{" && first !== "[") {
    SCALAR_END.lastIndex = from;
    return SCALAR_END.exec(text)?.index ?? text.length;
  }
  let depth = 0;
  for (let at = from; at < text.length;) {
    NESTING.lastIndex = at;
    const match = NESTING.exec(text);
    if (match === null) break;
    at = match.index + 1;
    if (match[0] === '"') at = endOfString(text, match.index);
    else depth += match[0] === "{" || match[0] === "[" ? 1 : -1;
    if (depth === 0) return at;
  }
  return text.length;
}
