import { cliJson } from "./gateway.ts";
import type { TestNode } from "./node.ts";

/** Spec of a policy in the JSON of the API, e.g. `{rateLimit: {windowSecs: 1, maxRequests: "2"}}`. */
export type PolicyJson = Readonly<Record<string, unknown>>;

export interface BoundPolicy {
  readonly policyId: string;
  readonly bindingId: string;
}

export interface NamespaceKeys {
  readonly namespaceId: string;
  readonly root: { readonly id: string; readonly token: string };
  /** Mints a sub-key that may invoke and mint. */
  mint(parentToken: string, name: string): Promise<{ readonly id: string; readonly token: string }>;
  /** Binds a new policy to one of its keys or, without one, to the namespace. */
  bind(spec: PolicyJson, keyId?: string, mode?: "ENFORCE" | "SHADOW"): Promise<BoundPolicy>;
  /** Runs a command as a key. @returns its JSON output */
  cli<T>(token: string, ...args: readonly string[]): Promise<T>;
}

/** Creates a namespace with a root key of all scopes. */
export async function newNamespace(node: TestNode, name: string): Promise<NamespaceKeys> {
  await cliJson(node, "cloud", "namespace", "create", name);
  const scopes = "inference:* keys:* policy:* usage:* namespace:*";
  const mint = ["--name", "root", "--scope", scopes, "--namespace", name];
  const root = await cliJson<{ id: string; token: string }>(node, "cloud", "keys", "mint", ...mint);
  const cli = async <T>(token: string, ...args: readonly string[]): Promise<T> => {
    const environment = { ROUTEPLANE_API_KEY: token };
    const { exitCode, stdout, stderr } = await node.cli(["cloud", ...args, "--json"], { environment });
    if (exitCode !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as T;
  };
  const { namespace } = await cli<{ namespace: { id: string } }>(root.token, "whoami");
  return {
    namespaceId: namespace.id,
    root,
    cli,
    mint: (parentToken, child) =>
      cli(parentToken, "keys", "mint", "--name", child, "--scope", "inference:invoke keys:*"),
    async bind(spec, keyId, mode = "ENFORCE") {
      const call = async <T>(method: string, body: object) => {
        const address = `${node.url}/routeplane.policy.v1.PolicyService/${method}`;
        const headers = { authorization: `Bearer ${root.token}`, "content-type": "application/json" };
        const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
        const json: unknown = await response.json();
        if (!response.ok) throw new Error(JSON.stringify(json));
        return json as T;
      };
      const policyName = `policy ${Math.random()}`;
      const { policy } = await call<{ policy: { id: string } }>("CreatePolicy", { name: policyName, spec });
      const principal =
        keyId === undefined
          ? { principalType: "PRINCIPAL_TYPE_NAMESPACE", principalId: namespace.id }
          : { principalType: "PRINCIPAL_TYPE_API_KEY", principalId: keyId };
      const bind = { policyId: policy.id, ...principal, mode: `BINDING_MODE_${mode}` };
      const { binding } = await call<{ binding: { id: string } }>("BindPolicy", bind);
      return { policyId: policy.id, bindingId: binding.id };
    },
  };
}
