import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chatBody, cliJson, mintKey, openAiClient } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import type { List } from "./json-cli.ts";

/** Tests that a node works with all policies that it accepts: as many, as large and with as many bindings as its quotas permit. */

let node: TestNode;
beforeAll(async () => {
  node = await startNode();
}, 120_000);
afterAll(() => node?.remove());

/** Calls the management API with the node's root key. @returns the answer, or the message of the refusal */
async function manage(method: string, body: object): Promise<{ readonly id?: string; readonly message?: string }> {
  const headers = { authorization: `Bearer ${await node.apiKey()}`, "content-type": "application/json" };
  const address = `${node.url}/routeplane.policy.v1.${method}`;
  const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = (await response.json()) as { message?: string; policy?: { id: string } };
  return response.ok ? { id: answer.policy?.id ?? "" } : { message: answer.message ?? "" };
}

const answers = (token: string): Promise<number> =>
  openAiClient(node, token)
    .chat.completions.create(chatBody("one two", "echo", { max_tokens: 5 }))
    .then(
      () => 200,
      ({ status }: { status: number }) => status,
    );

describe("guardrails", () => {
  /** Guardrail of about 200 KB that lets the model `echo` pass. */
  const large = (seed: number) => {
    const models = Array.from({ length: 100 }, (_, n) => `${seed}-${n}-${"\u{1F600}".repeat(240)}`);
    return { modelAllow: { models: ["echo", ...models.slice(1)] }, modelDeny: { models } };
  };

  it("are listed in full by the command line, however large they are together", async () => {
    const names = Array.from({ length: 110 }, (_, n) => `large ${n}`);
    for (const [n, name] of names.entries()) {
      expect(await manage("GuardrailService/CreateGuardrail", { name, spec: large(n) })).toHaveProperty("id");
    }
    const { data } = await cliJson<List<{ name: string }>>(node, "cloud", "policy", "list", "--kind", "guardrail");
    expect(data.map(({ name }) => name)).toEqual(names);
  });

  it("are refused where a key would have more of them than a gateway reads, and the key keeps working", async () => {
    const { id, token } = await mintKey(node, "bounded");
    const bindTo = [{ principalType: "PRINCIPAL_TYPE_API_KEY", principalId: id }];
    let refusal: string | undefined;
    for (let n = 0; refusal === undefined; n++) {
      const create = { name: `bound ${n}`, spec: large(n), bindTo };
      ({ message: refusal } = await manage("GuardrailService/CreateGuardrail", create));
      expect(await answers(token)).toBe(200);
    }
    expect(refusal).toMatch(new RegExp(`apply to ${id} would take \\d+ bytes together, more than \\d+: unbind some`));
    const effective = ["policy", "effective", "--principal-type", "api_key", "--principal-id", id];
    expect(await cliJson(node, "cloud", ...effective)).toMatchObject({ principal_id: id });
  });

  it("with as many patterns as one can have are judged, or refused when they are written", async () => {
    const { id, token } = await mintKey(node, "patterns");
    const on = (bound: number) =>
      Array.from({ length: 50 }, (_, n) => ({ name: `p${n}`, pattern: `k${n}[a-z]{1,${bound}}!` }));
    const bindTo = [{ principalType: "PRINCIPAL_TYPE_API_KEY", principalId: id }];
    const tooMuch = await manage("GuardrailService/CreateGuardrail", {
      name: "too much",
      spec: { contentPatterns: on(500) },
      bindTo,
    });
    expect(tooMuch.message).toMatch(/content_patterns: compile to \d+ instructions together, more than 20000/);
    expect(
      await manage("GuardrailService/CreateGuardrail", {
        name: "patterns",
        spec: { contentPatterns: on(180) },
        bindTo,
      }),
    ).toHaveProperty("id");
    expect(await answers(token)).toBe(200);
  });
});

it("removes what is bound to a key that was revoked while the policy service was dead", async () => {
  const { id } = await mintKey(node, "revoked");
  const budget = ["--name", "of the dead", "--window", "day", "--limit-micro-usd", "1000", "--bind-key", id];
  const created = await cliJson<{ id: string }>(node, "cloud", "budget", "create", ...budget);
  const restarted = node.kill("policy");
  await cliJson(node, "cloud", "keys", "revoke", id);
  await restarted;
  await eventually(async () => {
    const { data } = await cliJson<List<object>>(node, "cloud", "policy", "bindings", created.id);
    return data.length === 0;
  }, 30_000);
});
