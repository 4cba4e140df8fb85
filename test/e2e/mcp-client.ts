import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { getDefaultEnvironment, StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import type { CallToolResult, Tool } from "@modelcontextprotocol/sdk/types.js";
import { CLI } from "../harness/commands.ts";
import type { TestNode } from "../harness/index.ts";
import type { Cli, CliError } from "./json-cli.ts";

/** Client of `routeplane mcp`, which runs as a process. */
export interface McpClient extends AsyncDisposable {
  /** Process id of the server. */
  readonly pid: number;
  tools(): Promise<readonly Tool[]>;
  call(tool: string, input?: Readonly<Record<string, unknown>>): Promise<CallToolResult>;
  /** Calls a tool. @returns its structured content. @throws Error if it fails */
  value<T>(tool: string, input?: Readonly<Record<string, unknown>>): Promise<T>;
  /** Calls a tool that fails. @returns its error. @throws Error if it succeeds */
  error(tool: string, input?: Readonly<Record<string, unknown>>): Promise<McpError>;
}

export interface McpError extends Omit<CliError, "exitCode"> {
  readonly hint: string | null;
  readonly fields: readonly { readonly field: string; readonly rule: string }[];
  readonly metadata: Readonly<Record<string, string>>;
}

export interface McpOptions {
  readonly args?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** Starts `routeplane mcp` with a key, and connects the client of the SDK to it. */
export async function startMcp(
  node: Pick<TestNode, "url">,
  token: string,
  { args = [], environment = {} }: McpOptions = {},
): Promise<McpClient> {
  const own = { ROUTEPLANE_HOME: "/nonexistent", ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: token };
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [CLI, "mcp", ...args],
    // A time zone whose dates differ from those of UTC.
    env: { ...getDefaultEnvironment(), TZ: "Asia/Tokyo", ...own, ...environment },
    stderr: "ignore",
  });
  const client = new Client({ name: "test", version: "1.0.0" });
  await client.connect(transport);
  const call = async (name: string, input: Readonly<Record<string, unknown>> = {}): Promise<CallToolResult> => {
    const result = (await client.callTool({ name, arguments: { ...input } })) as CallToolResult;
    const [content] = result.content;
    if (content?.type !== "text" || content.text !== JSON.stringify(result.structuredContent)) {
      throw new Error(`the text of ${name} is not its structured content: ${JSON.stringify(result)}`);
    }
    return result;
  };
  return {
    pid: transport.pid ?? 0,
    tools: async () => (await client.listTools()).tools,
    call,
    async value<T>(tool: string, input?: Readonly<Record<string, unknown>>) {
      const { isError = false, structuredContent } = await call(tool, input);
      if (isError) throw new Error(`${tool}: ${JSON.stringify(structuredContent)}`);
      return structuredContent as T;
    },
    async error(tool, input) {
      const { isError = false, structuredContent } = await call(tool, input);
      if (!isError) throw new Error(`${tool} did not fail: ${JSON.stringify(structuredContent)}`);
      return (structuredContent as unknown as { error: McpError }).error;
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

/** Valid arguments of `mint_key`. */
export const MINT = { name: "sub", scopes: ["inference:invoke"], limit_usd: 1, window: "total", expires_in: "1h" };

export interface MintedKey {
  readonly id: string;
  readonly token: string;
  readonly revoked_at: string | null;
  readonly limits_policy_id: string | null;
}

export function mint(cli: Cli, name: string, scopes: string, ...limits: readonly string[]): Promise<MintedKey> {
  return cli.json("cloud", "keys", "mint", "--name", name, "--scope", scopes, ...limits);
}
