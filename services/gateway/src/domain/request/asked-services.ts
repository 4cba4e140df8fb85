import type { InferenceRequest } from "./inference-request.ts";
import { effectOf, isHarmless, plainName } from "./governed-members.ts";

/**
 * Services that a request asks for in addition to the tokens of a model, in the words of guardrails. An unknown value or spelling becomes
 * the empty text, which no guardrail allows: another parser might read it as something else.
 */
export interface AskedServices {
  /** Service tiers that are named; none if the request leaves the tier to the provider. */
  readonly tiers: readonly string[];
  /** Kinds of output; text if none is named. */
  readonly modalities: readonly string[];
  /** Tools that the provider runs, without version. */
  readonly hostedTools: readonly string[];
}

/** Members that choose a tier, by plain name, with the one spelling that a value is read from. */
const TIER_MEMBERS: ReadonlyMap<string, string> = new Map([
  ["servicetier", "service_tier"],
  ["speed", "speed"],
  ["performanceconfig", "performance_config"],
]);

/** Names of tools in requests, without version, of every API; a name that is missing is on no list. */
const TOOLS: ReadonlyMap<string, string> = new Map([
  ["web_search", "web_search"],
  ["browser_search", "web_search"],
  ["google_search", "web_search"],
  ["google_search_retrieval", "web_search"],
  ["web_fetch", "web_fetch"],
  ["url_context", "web_fetch"],
  ["file_search", "file_search"],
  ["retrieval", "file_search"],
  ["code_interpreter", "code_interpreter"],
  ["code_execution", "code_interpreter"],
  ["computer", "computer_use"],
  ["computer_use", "computer_use"],
  ["image_generation", "image_generation"],
  ["mcp", "mcp"],
]);

/** Members that enable a tool without naming it in `tools`, by plain name. */
const TOOL_MEMBERS: ReadonlyMap<string, string> = new Map([
  ["codeinterpreter", "code_interpreter"],
  ["enablecodeinterpreter", "code_interpreter"],
  ["codeexecution", "code_interpreter"],
  ["container", "code_interpreter"],
  ["mcpservers", "mcp"],
  ["plugins", ""],
  ["builtintools", ""],
  ["servertools", ""],
  ["compoundcustom", ""],
]);

/** End of a name that is a version: `_preview`, `_20250305`, `_preview_2025_03_11`. */
const VERSION = /(?:_preview)?(?:_\d{8}|_\d{4}_\d{2}_\d{2})?$/;

export function askedServices({
  text,
  members,
  hostedTools,
  wire,
}: Pick<InferenceRequest, "text" | "members" | "hostedTools" | "wire">): AskedServices {
  const tiers: string[] = [];
  const modalities: string[] = [];
  const tools = hostedTools.map(({ type = "" }) => TOOLS.get(type.replace(VERSION, "")) ?? "");
  for (const { key, start, end } of members) {
    const plain = plainName(key);
    const tierMember = TIER_MEMBERS.get(plain);
    const tool = toolOf(key, plain);
    const isModalities = plain.endsWith("modalities");
    if (tierMember === undefined && tool === undefined && !isModalities && plain !== "audio") continue;
    const value: unknown = JSON.parse(text.slice(start, end));
    if (value === null) continue;
    if (tierMember !== undefined) tiers.push(key === tierMember && typeof value === "string" ? value : "");
    else if (isModalities) modalities.push(...modalitiesIn(value));
    else if (plain === "audio") modalities.push("audio");
    else if (tool !== undefined && !isHarmless(key.toLowerCase(), value, wire.request.readMembers)) tools.push(tool);
  }
  return { tiers, modalities: modalities.length === 0 ? ["text"] : modalities, hostedTools: tools };
}

function toolOf(key: string, plain: string): string | undefined {
  if (plain.includes("search") && effectOf(key.toLowerCase()) === "surcharge") return "web_search";
  return TOOL_MEMBERS.get(plain);
}

function modalitiesIn(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return [""];
  return value.map((modality: unknown) => (typeof modality === "string" ? modality : ""));
}
