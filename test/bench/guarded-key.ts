import type { TestNode } from "../harness/node.ts";
import { EVERYDAY_PATTERNS } from "./everyday-patterns.ts";

/** Mints a key with the scope inference:invoke. */
export async function mint(node: TestNode, name: string): Promise<{ id: string; token: string }> {
  const { stdout } = await node.cli(["cloud", "keys", "mint", "--name", name, "--scope", "inference:invoke", "--json"]);
  return JSON.parse(stdout) as { id: string; token: string };
}

/** Binds a guardrail that redacts all everyday patterns to a key. */
export async function bindGuardrail(node: TestNode, keyId: string): Promise<void> {
  const call = async <T>(method: string, body: object): Promise<T> => {
    const headers = { authorization: `Bearer ${await node.apiKey()}`, "content-type": "application/json" };
    const address = `${node.url}/routeplane.policy.v1.PolicyService/${method}`;
    const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as T;
  };
  const contentPatterns = EVERYDAY_PATTERNS.map((pattern, index) => ({
    name: `pattern ${index}`,
    pattern,
    action: "PATTERN_ACTION_REDACT",
    appliesTo: "PATTERN_SCOPE_BOTH",
  }));
  const spec = { guardrail: { contentPatterns } };
  const { policy } = await call<{ policy: { id: string } }>("CreatePolicy", { name: "everyday", spec });
  await call("BindPolicy", { policyId: policy.id, principalType: "PRINCIPAL_TYPE_API_KEY", principalId: keyId });
}
