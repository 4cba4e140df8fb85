import { isObject } from "../wire/json-object.ts";

/** Tool that the provider runs and bills, e.g. a search, a code interpreter or a remote server. */
export interface HostedTool {
  /** Place in the request of what makes it one, e.g. `tools[0].type`. */
  readonly path: string;
  /** Type of the tool, or name of the member that makes it one. */
  readonly type: string | undefined;
}

/** Members of a tool that the client runs. */
const CLIENT_TOOL = new Set(["type", "function", "custom", "strict", "cache_control"]);

/** Finds the tools that are neither functions nor custom tools, which the client runs. */
export function hostedTools(tools: unknown): readonly HostedTool[] {
  if (tools === undefined || tools === null) return [];
  if (!Array.isArray(tools)) return [{ path: "tools", type: undefined }];
  return tools.flatMap((tool: unknown, index): HostedTool[] => {
    if (!isObject(tool)) return [{ path: `tools[${index}]`, type: undefined }];
    const { type } = tool;
    const other = Object.keys(tool).find((name) => !CLIENT_TOOL.has(name));
    if (type !== "function" && type !== "custom") {
      return [{ path: `tools[${index}].type`, type: typeof type === "string" ? type : other }];
    }
    return other === undefined ? [] : [{ path: `tools[${index}].${other}`, type: other }];
  });
}
