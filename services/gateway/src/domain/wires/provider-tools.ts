/**
 * Tools that a provider defines. It runs hosted ones itself. It only describes the others to the model, and the client runs them.
 */
import type { HostedTool } from "../request/read-members.ts";
import type { JsonObject } from "../wire/json.ts";

/**
 * Bound of the tokens by which a provider describes a tool to the model. Anthropic's references name up to 735, and 499 for the
 * prompt.
 */
export const DESCRIBED_TOOL_TOKENS = 1_500;

/** Finds the hosted tools. @param memberOf name of the member by which a tool is hosted; undefined for one that the client runs */
export function findHostedTools(
  tools: readonly JsonObject[],
  memberOf: (tool: JsonObject) => string | undefined,
): readonly HostedTool[] {
  return tools.flatMap((tool, index) => {
    const member = memberOf(tool);
    if (member === undefined) return [];
    const name = member === "type" ? tool["type"] : member;
    return [{ path: `tools[${index}].${member}`, type: typeof name === "string" ? name : undefined }];
  });
}
