import type { TestNode } from "../../harness/node.ts";
import { newNamespace, type PolicyJson } from "../../harness/policies.ts";
import { everythingOn } from "../everything-on.ts";

/** Keys and model of a load. */
export interface Target {
  /** Tokens, which the requests use in turn. */
  readonly tokens: readonly string[];
  readonly model: "tiny" | "streamed";
}

export interface Case {
  readonly name: string;
  /** Number of gateways of the node. */
  readonly gateways: 1 | 2;
  readonly streamed: boolean;
  /** Creates keys and policies, in a namespace of the given name, or several that begin with it. */
  readonly prepare: (node: TestNode, name: string) => Promise<Target>;
}

/** Namespaces of the case with many. */
const NAMESPACES = 1_000;
/** Bindings of the case with many, spread over a namespace and a lineage of 3 keys. */
const BINDINGS = 200;
/** Limits that are never reached, so that nothing is refused. Gateways get no slices of larger limits. */
const NEVER = "9000000000000";
const BUDGET: PolicyJson = { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: NEVER } };
const RATE_LIMIT: PolicyJson = { rateLimit: { windowSecs: 60, maxRequests: NEVER, maxTokens: NEVER } };
export const CASES: Readonly<Record<string, Case>> = {
  none: { name: "no limits", gateways: 1, streamed: false, prepare: withoutLimits },
  everything: { name: "everything on", gateways: 1, streamed: false, prepare: withEverything("tiny") },
  streaming: { name: "everything on, stream of 40", gateways: 1, streamed: true, prepare: withEverything("streamed") },
  bindings: { name: `${BINDINGS} bindings`, gateways: 1, streamed: false, prepare: withManyBindings },
  namespace: { name: "1 namespace, a budget", gateways: 1, streamed: false, prepare: withBudgets(1) },
  namespaces: {
    name: `${NAMESPACES} namespaces, a budget each`,
    gateways: 1,
    streamed: false,
    prepare: withBudgets(NAMESPACES),
  },
  gateways: { name: "everything on, 2 gateways", gateways: 2, streamed: false, prepare: withEverything("tiny") },
};

/** Creates a key in a namespace of its own, under a budget of `limitMicroUsd`. */
export async function keyUnderBudget(node: TestNode, name: string, limitMicroUsd: number): Promise<string> {
  const namespace = await newNamespace(node, name);
  await namespace.bind(
    { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: `${limitMicroUsd}` } },
    namespace.root.id,
  );
  return namespace.root.token;
}

async function withoutLimits(node: TestNode, name: string): Promise<Target> {
  return { tokens: [(await newNamespace(node, name)).root.token], model: "tiny" };
}

function withEverything(model: Target["model"]): Case["prepare"] {
  return async (node, name) => ({ tokens: [await everythingOn(node, name)], model });
}

/** Budgets, rate limits and guardrails in turns. */
async function withManyBindings(node: TestNode, name: string): Promise<Target> {
  const namespace = await newNamespace(node, name);
  const child = await namespace.mint(namespace.root.token, "child");
  const grandchild = await namespace.mint(child.token, "grandchild");
  const principals = [undefined, namespace.root.id, child.id, grandchild.id];
  const specs = [BUDGET, RATE_LIMIT, { guardrail: { modelDeny: { models: ["another-model"] } } }];
  for (let index = 0; index < BINDINGS; index++) {
    await namespace.bind(specs[index % specs.length] ?? BUDGET, principals[index % principals.length]);
  }
  return { tokens: [grandchild.token], model: "tiny" };
}

/** A root key in each of `count` namespaces, under a budget of its namespace. */
function withBudgets(count: number): Case["prepare"] {
  return async (node, prefix) => {
    const operator = await node.operatorKey();
    const tokens: string[] = [];
    const createOne = async (index: number): Promise<void> => {
      const name = `${prefix}-${index}`;
      const call = async <T>(token: string, method: string, body: object): Promise<T> =>
        callApi(node, token, method, body);
      const { namespace } = await call<{ namespace: { id: string } }>(
        operator,
        "auth.v1.NamespaceService/CreateNamespace",
        {
          name,
        },
      );
      const rootKey = { namespace: name, name: "root", scopes: ["inference:*", "policy:*"] };
      const { token } = await call<{ token: string }>(operator, "auth.v1.KeyService/MintRootKey", rootKey);
      const { policy } = await call<{ policy: { id: string } }>(token, "policy.v1.PolicyService/CreatePolicy", {
        name: "budget",
        spec: BUDGET,
      });
      const principal = { principalType: "PRINCIPAL_TYPE_NAMESPACE", principalId: namespace.id };
      await call(token, "policy.v1.PolicyService/BindPolicy", { policyId: policy.id, ...principal });
      tokens.push(token);
    };
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < count) await createOne(next++);
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    return { tokens, model: "tiny" };
  };
}

/** Calls a method of the API over Connect. A call that the rate of its credential refuses is repeated. */
async function callApi<T>(node: TestNode, token: string, method: string, body: object): Promise<T> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  for (;;) {
    const request = { method: "POST", headers, body: JSON.stringify(body) };
    const response = await fetch(`${node.url}/routeplane.${method}`, request);
    if (response.ok) return (await response.json()) as T;
    const text = await response.text();
    if (response.status !== 429) throw new Error(`${method}: ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}
