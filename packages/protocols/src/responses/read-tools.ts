import type { Dropped } from "../dropped.ts";
import {
  booleanMember,
  isAbsent,
  objectMember,
  requireKnown,
  requireList,
  requireObject,
  requireText,
  textMember,
} from "../fields.ts";
import { isObject, type JsonObject } from "../json.ts";
import type { Tool, ToolChoice } from "../model.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";

const COMMON = ["type", "name", "description", "allowed_callers", "defer_loading", "async"];
const FUNCTION_MEMBERS: ReadonlySet<string> = new Set([...COMMON, "parameters", "strict", "output_schema"]);
const CUSTOM_MEMBERS: ReadonlySet<string> = new Set([...COMMON, "format"]);

/** Reads the tools of a request. Those that the provider runs are refused. @throws Untranslatable */
export function readTools(value: unknown, dropped: Dropped): readonly Tool[] {
  if (isAbsent(value)) return [];
  return requireList(value, "tools").map((item, index) => {
    const at = `tools[${index}]`;
    const tool = requireObject(item, at);
    const { type } = tool;
    if (type !== "function" && type !== "custom") {
      throw new Untranslatable(`${at}.type`, "is not a tool that the upstream of this model has");
    }
    requireKnown(tool, type === "function" ? FUNCTION_MEMBERS : CUSTOM_MEMBERS, at);
    checkCallers(tool, at);
    if (!isAbsent(tool["output_schema"])) dropped.add(`${at}.output_schema`);
    return type === "function" ? readFunction(tool, at) : readCustom(tool, at);
  });
}

/** Refuses tools that anything but the model's own turn calls. */
function checkCallers(tool: JsonObject, at: string): void {
  for (const name of ["defer_loading", "async"]) {
    if (booleanMember(tool, name, at) === true) throw new Untranslatable(`${at}.${name}`, NOT_CARRIED);
  }
  const { allowed_callers: callers } = tool;
  if (isAbsent(callers)) return;
  if (requireList(callers, `${at}.allowed_callers`).some((caller) => caller !== "direct")) {
    throw new Untranslatable(`${at}.allowed_callers`, NOT_CARRIED);
  }
}

function readFunction(tool: JsonObject, at: string): Tool {
  const parameters = objectMember(tool, "parameters", at);
  const strict = booleanMember(tool, "strict", at);
  return {
    kind: "function",
    ...readNames(tool, at),
    ...(parameters !== undefined && { parameters }),
    ...(strict !== undefined && { strict }),
    at,
  };
}

function readCustom(tool: JsonObject, at: string): Tool {
  const format = objectMember(tool, "format", at);
  return { kind: "custom", ...readNames(tool, at), ...(format !== undefined && { format: nested(format) }), at };
}

function readNames(tool: JsonObject, at: string): Pick<Tool, "name" | "description"> {
  const description = textMember(tool, "description", at);
  return { name: requireText(tool["name"], `${at}.name`), ...(description !== undefined && { description }) };
}

/** Format of a custom tool in the form of the chat wire, which holds a grammar in a member. */
function nested({ type, ...grammar }: JsonObject): JsonObject {
  return type === "grammar" ? { type, grammar } : { type, ...grammar };
}

/** @throws Untranslatable for a choice among hosted tools, or of some of the tools */
export function readToolChoice(value: unknown): ToolChoice | undefined {
  if (isAbsent(value)) return undefined;
  if (value === "none" || value === "auto" || value === "required") return { mode: value };
  if (!isObject(value)) throw new Untranslatable("tool_choice", "must be a string or an object");
  const { type: kind, name } = value;
  if (kind !== "function" && kind !== "custom") throw new Untranslatable("tool_choice.type", NOT_CARRIED);
  return { mode: "tool", kind, name: requireText(name, "tool_choice.name") };
}
