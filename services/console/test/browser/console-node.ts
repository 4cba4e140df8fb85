import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { startNode, type StartOptions, type TestNode } from "../../../../test/harness/node.ts";

/** Node that runs a console, as `npm start` does. */
export interface ConsoleNode extends TestNode {
  /** Address of the console. */
  readonly consoleUrl: string;
  /**
   * Makes an address that signs in once, as `routeplane console --print` prints it.
   *
   * @param token whose session it opens; the root key that the node saved, by default
   * @param path page that it leads to
   */
  signInUrl(token?: string, path?: string): Promise<string>;
  /** Calls a method of the node's management API, e.g. `auth.v1.KeyService/MintKey`. @throws Error with the answer if it is refused */
  rpc<Answer>(method: string, token: string, request: object): Promise<Answer>;
}

/** Starts a node with a console. */
export async function startConsoleNode({ environment, ...options }: StartOptions = {}): Promise<ConsoleNode> {
  const node = await startNode({ ...options, environment: { ROUTEPLANE_CONSOLE: "on", ...environment } });
  const addresses: unknown = JSON.parse(await readFile(join(node.home, "run/addresses.json"), "utf8"));
  const consoleUrl = `http://${(addresses as { readonly console: string }).console}`;
  // A node whose app cannot be built runs without its console.
  if ((await node.pid("console")) === undefined) {
    await node.remove();
    throw new Error(`the node runs without its console:\n${node.stderr()}\n${node.stdout()}`);
  }
  const rpc = async <Answer>(method: string, token: string, request: object): Promise<Answer> => {
    const response = await fetch(`${node.url}/routeplane.${method}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(request),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method}: ${response.status} ${text}`);
    return JSON.parse(text) as Answer;
  };
  return {
    ...node,
    consoleUrl,
    rpc,
    async signInUrl(token, path = "/") {
      const credential = token ?? (await node.apiKey());
      const { code } = await rpc<{ code: string }>("auth.v1.SessionService/CreateSignInCode", credential, {});
      return `${consoleUrl}/sign-in?next=${encodeURIComponent(path)}#code=${code}`;
    },
  };
}
