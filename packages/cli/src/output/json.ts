import { randomUUID } from "node:crypto";

/** Start of the text that stands for a bigint while a value is encoded. No text from elsewhere can contain it. */
const MARK = `${randomUUID()}:`;
const MARKED = new RegExp(`"${MARK}(-?[0-9]+)"`, "g");

/** Encodes a value as JSON, with every digit of a bigint, as `JSON.rawJSON` does from Node.js 22 on. @param indent blanks of a level */
export function toJson(value: unknown, indent?: number): string {
  let hasBigints = false;
  const replaced = (_: string, member: unknown): unknown => {
    if (typeof member !== "bigint") return member;
    hasBigints = true;
    return `${MARK}${member}`;
  };
  const text = JSON.stringify(value, replaced, indent);
  return hasBigints ? text.replace(MARKED, "$1") : text;
}
