/** Writers of the members that requests and usage of OpenAI's two wires, chat and responses, share. */
import type { Dropped } from "../dropped.ts";
import type { JsonObject } from "../json.ts";
import type { Located, NeutralRequest, OutputFormat, Reasoning, Tool, ToolChoice, Usage } from "../model.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";

/** Bounds of OpenAI's API, in UTF-16 code units. */
const MAX_USER_CHARS = 64;
const MAX_TOOL_NAME_CHARS = 64;

/** Format of a tool, and of the choice of a tool, on a wire. */
export interface ToolForm {
  toTool(tool: Tool): JsonObject;
  toChoice(choice: Extract<ToolChoice, { readonly mode: "tool" }>): JsonObject;
}

/** Writes the tools and the members for their choice. @throws Untranslatable for a name that is too long */
export function toTools({ tools, toolChoice, options }: NeutralRequest, form: ToolForm, dropped: Dropped): JsonObject {
  if (tools.length === 0) return {};
  const choice = toolChoice?.value;
  return {
    tools: tools.map((tool) => {
      requireShortName(tool);
      if (tool.cacheControl !== undefined) dropped.add(`${tool.at}.cache_control`);
      return form.toTool(tool);
    }),
    ...(choice !== undefined && { tool_choice: choice.mode === "tool" ? form.toChoice(choice) : choice.mode }),
    ...(options.parallelToolCalls !== undefined && { parallel_tool_calls: options.parallelToolCalls.value }),
  };
}

function requireShortName({ name, at }: Tool): void {
  if (name.length <= MAX_TOOL_NAME_CHARS) return;
  throw new Untranslatable(`${at}.name`, `must have at most ${MAX_TOOL_NAME_CHARS} characters for this model`);
}

/** Writes the members of a JSON schema. It is not strict unless it says so. */
export function toSchema(format: Extract<OutputFormat, { readonly type: "json_schema" }>): JsonObject {
  const { name = "output", description, schema, strict = false } = format;
  return { name, ...(description !== undefined && { description }), schema, strict };
}

/** Requested effort, from its name or from a token budget. @returns undefined if there is neither */
export function effortOf({ effort, budgetTokens }: Reasoning): string | undefined {
  if (effort !== undefined || budgetTokens === undefined) return effort;
  if (budgetTokens < 4_096) return "low";
  return budgetTokens < 16_384 ? "medium" : "high";
}

/** Writes the person for whom the client asks. A name that is too long is left out. @param member its name on the wire */
export function toUser(member: string, user: Located<string> | undefined, dropped: Dropped): JsonObject {
  if (user === undefined) return {};
  if (user.value.length <= MAX_USER_CHARS) return { [member]: user.value };
  dropped.add(user.at);
  return {};
}

const TIERS = new Set(["default", "flex", "scale", "priority", "fast"]);

/**
 * Writes the tier. `auto` is left out: it is the default, and servers other than OpenAI's do not know the member.
 *
 * @throws Untranslatable for a tier that OpenAI does not have
 */
export function toTier(tier: Located<string> | undefined): JsonObject {
  if (tier === undefined || tier.value === "auto") return {};
  const name = tier.value === "standard_only" ? "default" : tier.value;
  if (!TIERS.has(name)) throw new Untranslatable(tier.at, NOT_CARRIED);
  return { service_tier: name };
}

/** Writes the split of cache writes by time to live, in the form of the messages wire; nothing if it is not known. */
export function toCacheCreation({ cacheWrite5m, cacheWrite1h }: Usage): JsonObject {
  if (cacheWrite5m === undefined && cacheWrite1h === undefined) return {};
  return {
    cache_creation: {
      ...(cacheWrite5m !== undefined && { ephemeral_5m_input_tokens: cacheWrite5m }),
      ...(cacheWrite1h !== undefined && { ephemeral_1h_input_tokens: cacheWrite1h }),
    },
  };
}
