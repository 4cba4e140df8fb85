import { isObject } from "./json-object.ts";

/** A tool that the provider runs, and bills: a search, an interpreter, a remote server. */
export interface HostedTool {
  /** Where it is hosted by its definition, e.g. `tools[0].type`. */
  readonly path: string;
  /** Its type, or the member that makes it one. */
  readonly type: string | undefined;
}

/** Members of a tool that the client runs. */
const CLIENT_TOOL = new Set(["type", "function", "custom", "strict", "cache_control"]);

/** All tools but functions and custom tools. */
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
