import type { Dropped } from "../dropped.ts";
import { isAbsent, requireKnown, requireList, requireObject, requireText } from "../fields.ts";
import { isObject, type JsonObject, textOf } from "../json.ts";
import type { Part, Role, ThinkingPart, ToolCallPart, ToolResultPart, Turn } from "../model.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";
import { reasoningText } from "./read-answer.ts";
import { readInputContent, readMessageContent } from "./read-content.ts";
import { fromEncryptedContent } from "./seals.ts";

const ROLES: ReadonlySet<unknown> = new Set<Role>(["system", "developer", "user", "assistant"]);

/** Turn to which the next item can belong. */
interface OpenTurn {
  readonly role: Role;
  readonly parts: Part[];
  readonly at: string;
  readonly joins: "assistant" | "results" | "none";
}

/**
 * Reads the input of a request: a text of the user, or items. Consecutive messages, reasoning and calls of the assistant are one turn; so
 * are consecutive results of tools.
 *
 * @throws Untranslatable with the item or member that no other wire has
 */
export function readInput(input: unknown, dropped: Dropped): readonly Turn[] {
  if (isAbsent(input)) return [];
  if (typeof input === "string") {
    return [{ role: "user", parts: [{ type: "text", text: input, at: "input" }], at: "input" }];
  }
  const turns: OpenTurn[] = [];
  requireList(input, "input").forEach((value, index) => {
    const at = `input[${index}]`;
    const turn = readItem(requireObject(value, at), at, dropped);
    const last = turns.at(-1);
    if (last !== undefined && last.joins !== "none" && last.joins === turn.joins) last.parts.push(...turn.parts);
    else turns.push(turn);
  });
  return turns.map(({ role, parts, at }) => ({ role, parts, at }));
}

function readItem(item: JsonObject, at: string, dropped: Dropped): OpenTurn {
  const { type, role } = item;
  switch (type ?? (isAbsent(role) ? "item_reference" : "message")) {
    case "message":
      return readMessage(item, at, dropped);
    case "function_call":
    case "custom_tool_call":
      return { role: "assistant", parts: [readCall(item, at)], at, joins: "assistant" };
    case "reasoning":
      return { role: "assistant", parts: [readReasoning(item, at)], at, joins: "assistant" };
    case "function_call_output":
    case "custom_tool_call_output":
      return { role: "user", parts: [readResult(item, at, dropped)], at, joins: "results" };
    case "item_reference":
      throw new Untranslatable(at, "refers to a stored item, which the upstream of this model does not have");
    default:
      throw new Untranslatable(`${at}.type`, "is not an item that the upstream of this model has");
  }
}

const MESSAGE_MEMBERS: ReadonlySet<string> = new Set(["type", "role", "content", "id", "status", "phase"]);

function readMessage(item: JsonObject, at: string, dropped: Dropped): OpenTurn {
  requireKnown(item, MESSAGE_MEMBERS, at);
  const { role, content, phase } = item;
  if (!ROLES.has(role)) throw new Untranslatable(`${at}.role`, NOT_CARRIED);
  if (!isAbsent(phase)) dropped.add(`${at}.phase`);
  const parts = readMessageContent(content, `${at}.content`, dropped);
  return { role: role as Role, parts: [...parts], at, joins: role === "assistant" ? "assistant" : "none" };
}

const CALL_MEMBERS = ["type", "call_id", "name", "id", "status", "caller"];

function readCall(item: JsonObject, at: string): ToolCallPart {
  const kind = item["type"] === "function_call" ? "function" : "custom";
  const text = kind === "function" ? "arguments" : "input";
  requireKnown(item, new Set([...CALL_MEMBERS, text]), at);
  requireDirectCaller(item, at);
  return {
    type: "tool_call",
    id: requireText(item["call_id"], `${at}.call_id`),
    name: requireText(item["name"], `${at}.name`),
    arguments: requireText(item[text], `${at}.${text}`),
    kind,
    at,
  };
}

const RESULT_MEMBERS: ReadonlySet<string> = new Set(["type", "call_id", "name", "output", "id", "status", "caller"]);

function readResult(item: JsonObject, at: string, dropped: Dropped): ToolResultPart {
  requireKnown(item, RESULT_MEMBERS, at);
  requireDirectCaller(item, at);
  return {
    type: "tool_result",
    callId: requireText(item["call_id"], `${at}.call_id`),
    content: readInputContent(item["output"], `${at}.output`, dropped),
    isError: false,
    kind: item["type"] === "function_call_output" ? "function" : "custom",
    at,
  };
}

/** Refuses a call that a program of the provider made. */
function requireDirectCaller({ caller }: JsonObject, at: string): void {
  if (isAbsent(caller) || (isObject(caller) && caller["type"] === "direct")) return;
  throw new Untranslatable(`${at}.caller`, NOT_CARRIED);
}

const REASONING_MEMBERS: ReadonlySet<string> = new Set([
  "type",
  "id",
  "summary",
  "content",
  "encrypted_content",
  "status",
]);

function readReasoning(item: JsonObject, at: string): ThinkingPart {
  requireKnown(item, REASONING_MEMBERS, at);
  const sealed = textOf(item["encrypted_content"]);
  return {
    type: "thinking",
    text: reasoningText(item),
    ...(sealed !== undefined && { seal: fromEncryptedContent(sealed, textOf(item["id"])) }),
    at,
  };
}
