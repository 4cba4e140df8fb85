import { eventually } from "@routeplane/testing";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chatBody, mintKey, openAiClient } from "../harness/gateway.ts";
import { superuserUrl } from "../harness/database.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests with three gateways: a change through one of them takes effect at all of them. */

let node: TestNode;
beforeAll(async () => {
  node = await startNode({ gateways: 3 });
}, 120_000);
afterAll(() => node?.remove());

/** Calls the management API with the node's root key. */
async function manage<T>(method: string, body: object): Promise<T> {
  const headers = { authorization: `Bearer ${await node.apiKey()}`, "content-type": "application/json" };
  const address = `${node.url}/routeplane.policy.v1.PolicyService/${method}`;
  const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as T;
}

/** Creates a key without policies that every gateway has served, and an unbound guardrail that denies the model. */
async function warmKey() {
  const { id, token } = await mintKey(node, "caller", "inference:*");
  const spec = { guardrail: { modelDeny: { models: ["echo"] } } };
  const { policy } = await manage<{ policy: { id: string } }>("CreatePolicy", { name: `no echo for ${id}`, spec });
  const principal = { policyId: policy.id, principalType: "PRINCIPAL_TYPE_API_KEY", principalId: id };
  const bind = async () => (await manage<{ binding: { id: string } }>("BindPolicy", principal)).binding;
  for (const url of node.urls) expect(await answerOf(url, token)).toBe("answered");
  return { token, policyId: policy.id, bind };
}

const answerOf = (url: string, token: string): Promise<string> =>
  openAiClient({ url }, token)
    .chat.completions.create(chatBody("one two", "echo", { max_tokens: 5 }))
    .then(
      () => "answered",
      ({ status, code }: { status: number; code: string }) => `${status} ${code}`,
    );

async function untilEverywhere(token: string, answer: string, withinMs: number): Promise<void> {
  const since = performance.now();
  for (const url of node.urls) {
    await eventually(async () => (await answerOf(url, token)) === answer, withinMs - (performance.now() - since));
  }
}

describe("a changed policy", () => {
  it("takes effect at once at every gateway with a warm cache, and so does its removal", async () => {
    const { token, policyId, bind } = await warmKey();
    const { id: bindingId } = await bind();
    await untilEverywhere(token, "403 model_not_allowed", 2_000);
    await manage("DisablePolicy", { id: policyId });
    await untilEverywhere(token, "answered", 2_000);
    await manage("EnablePolicy", { id: policyId });
    await untilEverywhere(token, "403 model_not_allowed", 2_000);
    await manage("UpdatePolicy", { id: policyId, spec: { guardrail: { modelDeny: { models: ["gpt-*"] } } } });
    await untilEverywhere(token, "answered", 2_000);
    await manage("UpdatePolicy", { id: policyId, spec: { guardrail: { modelAllow: { models: [] } } } });
    await untilEverywhere(token, "403 model_not_allowed", 2_000);
    await manage("UnbindPolicy", { policyId, bindingId });
    await untilEverywhere(token, "answered", 2_000);
  });

  it("is in force at every gateway within 5 s while the change feed is disconnected, and at once when it is connected again", async () => {
    const { token, policyId, bind } = await warmKey();
    const admin = new pg.Client({ connectionString: await superuserUrl(node.home) });
    await admin.connect();
    const feed = "from pg_stat_activity where application_name = 'routeplane-policy-changes'";
    try {
      await admin.query("alter role routeplane_policy connection limit 0");
      expect((await admin.query(`select pg_terminate_backend(pid) ${feed}`)).rowCount).toBe(1);
      await bind();
      await untilEverywhere(token, "403 model_not_allowed", 5_000);
    } finally {
      await admin.query("alter role routeplane_policy connection limit -1");
      await eventually(async () => (await admin.query(`select ${feed}`)).rowCount === 1);
      await admin.end();
    }
    await manage("DisablePolicy", { id: policyId });
    await untilEverywhere(token, "answered", 5_000);
  });
});

it("requests are refused while the policy service is suspended, and served once it resumes", async () => {
  const { token, bind } = await warmKey();
  await bind();
  await untilEverywhere(token, "403 model_not_allowed", 2_000);
  const other = await warmKey();
  await node.whileSuspended("policy", async () => {
    await untilEverywhere(token, "503 dependency_unavailable", 10_000);
    expect(await answerOf(node.urls[1]!, other.token)).toBe("503 dependency_unavailable");
  });
  await untilEverywhere(token, "403 model_not_allowed", 10_000);
  await untilEverywhere(other.token, "answered", 10_000);
});
