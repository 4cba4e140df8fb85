import { booleanMember, objectMember, requireText, textMember } from "./fields.ts";
import type { JsonObject } from "./json.ts";
import type { Tool } from "./model.ts";

/** Reads the members that tools of every kind have on all wires. @throws Untranslatable */
export function readNames(holder: JsonObject, at: string): Pick<Tool, "name" | "description"> {
  const description = textMember(holder, "description", at);
  return { name: requireText(holder["name"], `${at}.name`), ...(description !== undefined && { description }) };
}

/** Reads the members of a function. @param schema name of the member with the schema of its arguments @throws Untranslatable */
export function readFunctionMembers(
  holder: JsonObject,
  schema: "parameters" | "input_schema",
  at: string,
): Omit<Tool, "kind" | "at"> {
  const parameters = objectMember(holder, schema, at);
  const strict = booleanMember(holder, "strict", at);
  return {
    ...readNames(holder, at),
    ...(parameters !== undefined && { parameters }),
    ...(strict !== undefined && { strict }),
  };
}
