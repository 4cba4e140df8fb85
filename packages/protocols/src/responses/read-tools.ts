import type { Dropped } from "../dropped.ts";
import { booleanMember, isAbsent, objectMember, requireKnown, requireList, requireObject } from "../fields.ts";
import type { JsonObject } from "../json.ts";
import type { Tool } from "../model.ts";
import { readFunctionMembers, readNames } from "../tool-definition.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";

const COMMON = ["type", "name", "description", "allowed_callers", "defer_loading", "async"];
const FUNCTION_MEMBERS: ReadonlySet<string> = new Set([...COMMON, "parameters", "strict", "output_schema"]);
const CUSTOM_MEMBERS: ReadonlySet<string> = new Set([...COMMON, "format"]);

/** Reads the tools of a request. Tools that the provider runs are refused. @throws Untranslatable */
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
    requireDirectCallers(tool, at);
    if (!isAbsent(tool["output_schema"])) dropped.add(`${at}.output_schema`);
    return type === "function" ? readFunction(tool, at) : readCustom(tool, at);
  });
}

/** Refuses tools that may be called by anything other than the model's own turn. */
function requireDirectCallers(tool: JsonObject, at: string): void {
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
  return { kind: "function", ...readFunctionMembers(tool, "parameters", at), at };
}

function readCustom(tool: JsonObject, at: string): Tool {
  const format = objectMember(tool, "format", at);
  return { kind: "custom", ...readNames(tool, at), ...(format !== undefined && { format: nested(format) }), at };
}

/** Format of a custom tool as on the chat wire, which nests a grammar in a member. */
function nested({ type, ...grammar }: JsonObject): JsonObject {
  return type === "grammar" ? { type, grammar } : { type, ...grammar };
}
