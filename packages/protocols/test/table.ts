/**
 * Tables of the README as data. A sample is put into a request, which is translated. A cell shows the result: nothing, the JSON that the
 * upstream receives, the names of dropped members, or the path of the member for which the request is refused.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonObject } from "../src/json.ts";
import type { ProtocolWire } from "../src/model.ts";
import { translateRequest } from "../src/translate.ts";
import { Untranslatable } from "../src/untranslatable.ts";

export const WIRES = ["chat", "messages", "responses"] as const;
export const SUBJECTS = ["members", "content of users", "messages of assistants"] as const;
export type Subject = (typeof SUBJECTS)[number];

export interface Row {
  readonly subject: Subject;
  readonly from: ProtocolWire;
  readonly to: ProtocolWire;
  readonly sample: string;
  readonly cell: string;
}

const TARGET = { model: "upstream-model", outputTokensMax: 9_000 };
const SCHEMA = { type: "object" };
/** Minimal requests, with a tool. */
const BASES: Readonly<Record<ProtocolWire, JsonObject>> = {
  chat: {
    model: "m",
    messages: [{ role: "user", content: "Hi" }],
    tools: [{ type: "function", function: { name: "look", parameters: SCHEMA } }],
  },
  messages: {
    model: "m",
    max_tokens: 9,
    messages: [{ role: "user", content: "Hi" }],
    tools: [{ name: "look", input_schema: SCHEMA }],
  },
  responses: {
    model: "m",
    input: [{ role: "user", content: "Hi" }],
    store: false,
    tools: [{ type: "function", name: "look", parameters: SCHEMA, strict: false }],
  },
};

/** Reads the rows of the README, one for each pair of wires. */
export function readRows(): readonly Row[] {
  const text = readFileSync(join(import.meta.dirname, "../README.md"), "utf8");
  return text.split(/^#{2,3} /m).flatMap((section) => {
    const heading = /^Requests of `(\w+)`: (.*)$/m.exec(section.slice(0, section.indexOf("\n")));
    if (heading === null) return [];
    const [, from, subject] = heading as unknown as [string, ProtocolWire, Subject];
    const upstreams = WIRES.filter((wire) => wire !== from);
    const lines = section.split("\n").filter((line) => line.startsWith("| `"));
    return lines.flatMap((line) => {
      const [sample = "", ...cells] = line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim());
      return upstreams.map((to, index) => ({
        subject,
        from,
        to,
        sample: sample.slice(1, -1),
        cell: cells[index] ?? "",
      }));
    });
  });
}

/** Translates the sample of a row, and writes the result in the format of a cell. */
export function cellOf({ subject, from, to, sample }: Omit<Row, "cell">): string {
  const base = BASES[from];
  const translate = (body: JsonObject) => translateRequest(from, to, body, TARGET);
  try {
    const { body, dropped } = translate({ ...base, ...wrap(subject, from, sample) });
    const result = unwrap(subject, to, body, translate(base).body);
    const words = [...(result === undefined ? [] : [`\`${result}\``]), ...dropped.map((name) => `dropped \`${name}\``)];
    return words.join(", ") || "nothing";
  } catch (error) {
    if (error instanceof Untranslatable) return `refused \`${error.param}\``;
    throw error;
  }
}

function wrap(subject: Subject, wire: ProtocolWire, sample: string): JsonObject {
  if (subject === "members") return JSON.parse(`{${sample}}`) as JsonObject;
  const turns = wire === "responses" ? "input" : "messages";
  if (subject === "content of users") return { [turns]: [{ role: "user", content: [JSON.parse(sample)] }] };
  const question = { role: "user", content: "Why?" };
  if (wire === "responses") return { input: [JSON.parse(sample), question] };
  return { messages: [{ role: "assistant", ...(JSON.parse(`{${sample}}`) as JsonObject) }, question] };
}

function unwrap(subject: Subject, wire: ProtocolWire, body: JsonObject, base: JsonObject): string | undefined {
  if (subject === "members") {
    const change = changeOf(base, body);
    return change === undefined ? undefined : spaced(change).slice(1, -1);
  }
  const turns = (wire === "responses" ? body["input"] : body["messages"]) as readonly JsonObject[];
  if (subject === "content of users") return spaced(turns.at(-1)?.["content"]);
  const answers = turns.slice(0, -1).map(({ role: _role, ...members }) => members);
  return answers.length === 0 ? undefined : answers.map((members) => spaced(members)).join(", ");
}

/** JSON with a space after commas and colons. */
function spaced(value: unknown): string {
  return JSON.stringify(value, null, 1)
    .replace(/\n\s*/g, " ")
    .replace(/([[{]) /g, "$1")
    .replace(/ ([\]}])/g, "$1");
}

/** Members that differ, recursively; undefined if none does. */
function changeOf(before: unknown, after: unknown): unknown {
  if (JSON.stringify(before) === JSON.stringify(after)) return undefined;
  const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject(before) || !isObject(after)) return after;
  const changes = Object.entries(after as JsonObject)
    .map(([name, value]) => [name, changeOf((before as JsonObject)[name], value)] as const)
    .filter(([, change]) => change !== undefined);
  return changes.length === 0 ? undefined : Object.fromEntries(changes);
}
