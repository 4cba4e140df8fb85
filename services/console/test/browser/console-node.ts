import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type CommandResult, runCli, type RunOptions } from "../../../../test/harness/commands.ts";
import { savedToken, startNode, type StartOptions, type TestNode } from "../../../../test/harness/node.ts";

/** Addresses of a running node with a console, and its home. */
export interface ConsoleAddresses {
  readonly home: string;
  /** Address of the first gateway. */
  readonly url: string;
  /** Address of the console. */
  readonly consoleUrl: string;
}

/** Running node with a console, which any number of test files can use. */
export interface ConsoleNode extends ConsoleAddresses {
  /** Runs `routeplane <args>` with the login that the node saved. */
  cli(args: readonly string[], options?: RunOptions): Promise<CommandResult>;
  /** Token of the root key of the namespace `default`. */
  apiKey(): Promise<string>;
  operatorKey(): Promise<string>;
  /**
   * Creates an address that signs in once, as `routeplane console --print` prints it.
   *
   * @param token token of the credential to sign in with; by default the root key that the node saved
   * @param path path of the page to show
   */
  signInUrl(token?: string, path?: string): Promise<string>;
  /** Calls a method of the node's management API, e.g. `auth.v1.KeyService/MintKey`. @throws Error with the response if it is refused */
  rpc<Answer>(method: string, token: string, request: object): Promise<Answer>;
  /** Creates a namespace with a root key. */
  createNamespace(name: string): Promise<TestNamespace>;
}

/** Separate namespace for a test file or a test. */
export interface TestNamespace {
  readonly id: string;
  /** Token of its root key. */
  readonly token: string;
}

/** Client of a running node. */
export function consoleNodeAt(addresses: ConsoleAddresses): ConsoleNode {
  const { home, url, consoleUrl } = addresses;
  const rpc = async <Answer>(method: string, token: string, request: object): Promise<Answer> => {
    const response = await fetch(`${url}/routeplane.${method}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(request),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method}: ${response.status} ${text}`);
    return JSON.parse(text) as Answer;
  };
  return {
    ...addresses,
    cli: (args, options) => runCli(home, args, options),
    apiKey: () => savedToken(home, "api-key"),
    operatorKey: () => savedToken(home, "operator-key"),
    rpc,
    async signInUrl(token, path = "/") {
      const credential = token ?? (await savedToken(home, "api-key"));
      const { code } = await rpc<{ code: string }>("auth.v1.SessionService/CreateSignInCode", credential, {});
      return `${consoleUrl}/sign-in?next=${encodeURIComponent(path)}#code=${code}`;
    },
    async createNamespace(name) {
      const operator = await savedToken(home, "operator-key");
      const { namespace } = await rpc<{ namespace: { id: string } }>(
        "auth.v1.NamespaceService/CreateNamespace",
        operator,
        { name },
      );
      const request = { namespace: name, name: `root of ${name}`, scopes: ROOT_SCOPES };
      const { token } = await rpc<{ token: string }>("auth.v1.KeyService/MintRootKey", operator, request);
      return { token, id: namespace.id };
    },
  };
}

const ROOT_SCOPES = ["inference:*", "keys:*", "usage:*", "policy:*", "namespace:*", "audit:*"];

/** Node with a console that was started for one test, which may do anything to it. */
export type StartedConsoleNode = ConsoleNode & TestNode;

/** Starts a node with a console, as `npm start` does. */
export async function startConsoleNode({ environment, ...options }: StartOptions = {}): Promise<StartedConsoleNode> {
  const node = await startNode({ ...options, environment: { ROUTEPLANE_CONSOLE: "on", ...environment } });
  const addresses: unknown = JSON.parse(await readFile(join(node.home, "run/addresses.json"), "utf8"));
  const consoleUrl = `http://${(addresses as { readonly console: string }).console}`;
  // A node whose app cannot be built runs without its console.
  if ((await node.pid("console")) === undefined) {
    await node.remove();
    throw new Error(`the node runs without its console:\n${node.stderr()}\n${node.stdout()}`);
  }
  return { ...node, ...consoleNodeAt({ home: node.home, url: node.url, consoleUrl }) };
}
