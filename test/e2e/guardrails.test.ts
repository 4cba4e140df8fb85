import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { APIError } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, startFakeProvider, type FakeProvider } from "../../services/gateway/test/fake-provider.ts";
import { chatBody, cliJson, failureOf, mintKey, openAiClient, settledRow } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { cliAs } from "./json-cli.ts";

/** Tests of guardrails that are created over the management API, with the stock `openai` client against a node. */

/** Stream of two choices with reasoning, content and two tool calls, in pieces, each with a number to be redacted. */
const talkative: Answer = (response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const event = (chunk: object): void =>
    void response.write(
      `data: ${JSON.stringify({ id: "c-1", object: "chat.completion.chunk", created: 1, model: "talkative", ...chunk })}\n\n`,
    );
  const delta = (index: number, delta: object, finish_reason: string | null = null): void =>
    event({ choices: [{ index, delta, finish_reason }] });
  for (const index of [0, 1]) delta(index, { role: "assistant", content: "" });
  for (const piece of ["it is 12", "3-45-", "6789", "!"]) {
    for (const index of [0, 1]) {
      delta(index, { reasoning_content: piece });
      delta(index, { content: piece });
      const calls = [0, 1].map((call) => ({
        index: call,
        id: `call_${call}`,
        type: "function",
        function: { name: "look_up", arguments: piece },
      }));
      delta(index, { tool_calls: calls });
    }
  }
  for (const index of [0, 1]) delta(index, {}, "tool_calls");
  event({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 40, total_tokens: 45 } });
  response.end("data: [DONE]\n\n");
};

let node: TestNode;
let upstream: FakeProvider;
let folder: string;

beforeAll(async () => {
  upstream = await startFakeProvider(talkative);
  folder = await mkdtemp(join(tmpdir(), "routeplane-guardrails-test-"));
  const providers = join(folder, "providers.yaml");
  const price = "price: {input_usd_per_mtok: 1, output_usd_per_mtok: 1}";
  const tiers = ["flex", "priority"].map((value) => `{member: service_tier, value: ${value}, price_factor: 2}`);
  const surcharges = `surcharges: [${[...tiers, "{member: web_search_options, usd_per_request: 0.01}"].join(", ")}]`;
  const model = `{id: talkative, ${price}, ${surcharges}}`;
  const provider = `  - {name: local, protocol: openai, base_url: ${upstream.baseUrl}, models: [${model}]}`;
  await writeFile(providers, `providers:\n${provider}\n`);
  node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: providers } });
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

interface Bound {
  readonly policyId: string;
  readonly bindingId: string;
}

/** Calls the management API with the node's root key. */
async function manage<T>(method: string, body: object): Promise<T> {
  const headers = { authorization: `Bearer ${await node.apiKey()}`, "content-type": "application/json" };
  const address = `${node.url}/routeplane.policy.v1.PolicyService/${method}`;
  const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as T;
}

async function bindGuardrail(keyId: string, guardrail: object, mode = "BINDING_MODE_ENFORCE"): Promise<Bound> {
  const { policy } = await manage<{ policy: { id: string } }>("CreatePolicy", {
    name: `rules of ${keyId}`,
    spec: { guardrail },
  });
  const principal = { principalType: "PRINCIPAL_TYPE_API_KEY", principalId: keyId };
  const { binding } = await manage<{ binding: { id: string } }>("BindPolicy", {
    policyId: policy.id,
    ...principal,
    mode,
  });
  return { policyId: policy.id, bindingId: binding.id };
}

/** Guardrail decisions in the receipt of a request, once it is settled. */
async function decisionsOf(requestId: string | null | undefined): Promise<unknown> {
  const { id } = await settledRow(node, requestId);
  const { guardrail_decisions } = await cliJson<{ guardrail_decisions: unknown }>(node, "cloud", "request", "get", id);
  return guardrail_decisions;
}

const pattern = (action: "BLOCK" | "REDACT", appliesTo = "BOTH") => ({
  contentPatterns: [
    {
      name: "ssn",
      pattern: String.raw`\b\d{3}-\d{2}-\d{4}\b`,
      action: `PATTERN_ACTION_${action}`,
      appliesTo: `PATTERN_SCOPE_${appliesTo}`,
    },
  ],
});

describe("a guardrail", () => {
  it("that blocks is named in the refusal; the denial is in the log, is not charged and does not quote the text", async () => {
    const key = await mintKey(node, "blocked");
    const { policyId, bindingId } = await bindGuardrail(key.id, pattern("BLOCK"));
    for (const stream of [false, true]) {
      const error = await failureOf(
        openAiClient(node, key.token).chat.completions.create({ ...chatBody("my number is 123-45-6789"), stream }),
      );
      expect(error).toMatchObject({ status: 400, code: "content_blocked" });
      expect(error.error).toMatchObject({
        policy_id: policyId,
        binding_id: bindingId,
        policy_name: `rules of ${key.id}`,
        principal: { type: "api_key", id: key.id },
        rule: "guardrail.content_patterns",
        pattern: "ssn",
      });
      expect(JSON.stringify(error.error)).not.toContain("123-45");
      expect(error.headers?.get("x-should-retry")).toBe("false");
      expect(await settledRow(node, error.requestID)).toMatchObject({
        status: "denied",
        cost_micro_usd: 0,
        denied_by_policy_id: policyId,
        denied_by_binding_id: bindingId,
        denied_rule: "guardrail.content_patterns",
      });
      expect(await decisionsOf(error.requestID)).toMatchObject([
        { policy_id: policyId, binding_id: bindingId, pattern: "ssn", request_redactions: 0, blocked: "request" },
      ]);
    }
    expect(
      (await openAiClient(node, key.token).chat.completions.create(chatBody("all well"))).choices[0]?.message.content,
    ).toBe("all well");
  });

  it("that redacts rewrites requests, and answers whole and streamed", async () => {
    const key = await mintKey(node, "redacted");
    const { policyId, bindingId } = await bindGuardrail(key.id, pattern("REDACT"));
    const client = openAiClient(node, key.token);
    const call = client.chat.completions.create(chatBody("it is 123-45-6789 here"));
    const { data: whole, request_id } = await call.withResponse();
    expect(whole.choices[0]?.message.content).toBe("it is [REDACTED] here");
    const by = { policy_id: policyId, binding_id: bindingId, rule: "guardrail.content_patterns", pattern: "ssn" };
    expect(await decisionsOf(request_id)).toEqual([
      { ...by, request_redactions: 1, response_redactions: 0, blocked: null },
    ]);
    let text = "";
    for await (const chunk of await client.chat.completions.create({
      ...chatBody("it is 123-45-6789 here"),
      stream: true,
    })) {
      text += chunk.choices[0]?.delta.content ?? "";
    }
    expect(text).toBe("it is [REDACTED] here");
  });

  it("that redacts answers does so in every choice, in reasoning and in the arguments of every tool call, as the client assembles them", async () => {
    const key = await mintKey(node, "tools");
    await bindGuardrail(key.id, pattern("REDACT", "RESPONSE"));
    const runner = openAiClient(node, key.token).chat.completions.stream({ ...chatBody("x", "talkative"), n: 2 });
    let reasoning = "";
    for await (const { choices } of runner) {
      for (const { delta } of choices) reasoning += (delta as { reasoning_content?: string }).reasoning_content ?? "";
    }
    const { choices, usage } = await runner.finalChatCompletion();
    expect(choices).toHaveLength(2);
    for (const { message, finish_reason } of choices) {
      expect(finish_reason).toBe("tool_calls");
      expect(message.content).toBe("it is [REDACTED]!");
      expect(message.tool_calls?.map((call) => call.type === "function" && call.function)).toMatchObject([
        { name: "look_up", arguments: "it is [REDACTED]!" },
        { name: "look_up", arguments: "it is [REDACTED]!" },
      ]);
    }
    expect(reasoning.split("[REDACTED]")).toHaveLength(3);
    expect(reasoning).not.toContain("123");
    expect(usage).toBeUndefined();
  });

  it("that blocks an answer ends its stream with an error, and the used tokens are charged", async () => {
    const key = await mintKey(node, "blocked answer");
    const { policyId } = await bindGuardrail(key.id, pattern("BLOCK", "RESPONSE"));
    const { data: stream, request_id } = await openAiClient(node, key.token)
      .chat.completions.create({ ...chatBody("x", "talkative"), stream: true })
      .withResponse();
    let seen = "";
    const error: unknown = await (async () => {
      for await (const chunk of stream) seen += JSON.stringify(chunk);
    })().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(APIError);
    expect((error as APIError).error).toMatchObject({ code: "content_blocked", policy_id: policyId, pattern: "ssn" });
    expect(seen).toContain("it is ");
    expect(seen).not.toMatch(/\d{2}"|45|6789/);
    expect(await settledRow(node, request_id)).toMatchObject({
      status: "failed",
      prompt_tokens: 5,
      completion_tokens: 40,
      cost_micro_usd: 45,
    });
    expect(await decisionsOf(request_id)).toMatchObject([{ policy_id: policyId, pattern: "ssn", blocked: "response" }]);
  });

  it("refuses an image if one of its patterns blocks, unless it lets uninspectable content pass", async () => {
    const key = await mintKey(node, "images");
    const create = ["cloud", "guardrail", "create", "--name", "images", "--block", "word=secret", "--bind-key", key.id];
    const { id } = await cliJson<{ id: string }>(node, ...create);
    const image_url = { url: "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==" };
    const body = {
      model: "echo",
      messages: [{ role: "user" as const, content: [{ type: "image_url" as const, image_url }] }],
    };
    const client = openAiClient(node, key.token);
    expect(await failureOf(client.chat.completions.create(body))).toMatchObject({
      status: 400,
      code: "content_uninspectable",
      error: { policy_id: id, rule: "guardrail.uninspectable" },
    });
    const effective = ["cloud", "policy", "effective", "--principal-type", "api_key", "--principal-id", key.id];
    const blocks = { action: "block", sources: [{ policy_id: id }] };
    expect(await cliJson(node, ...effective)).toMatchObject({
      guardrail: { uninspectable_request: blocks, uninspectable_response: blocks },
    });
    const updated = await cliJson(node, "cloud", "guardrail", "update", id, "--uninspectable", "pass");
    expect(updated).toMatchObject({ spec: { uninspectable: "pass" } });
    await eventually(async () => (await client.chat.completions.create(body).catch(() => undefined)) !== undefined);
  });

  it("refuses service tiers, kinds of output and hosted tools that it does not allow, priced or not", async () => {
    const key = await mintKey(node, "services");
    const create = ["cloud", "guardrail", "create", "--name", "services", "--bind-key", key.id];
    const rules = ["--service-tier-allow", "default, flex", "--modality-allow", "text", "--hosted-tool-allow", ""];
    const { id } = await cliJson<{ id: string }>(node, ...create, ...rules);
    const send = async (more: object) => {
      const init = { method: "POST", headers: { authorization: `Bearer ${key.token}` } };
      const body = JSON.stringify({ ...chatBody("x", "talkative"), stream: true, ...more });
      const response = await fetch(`${node.url}/v1/chat/completions`, { ...init, body });
      const text = await response.text();
      if (response.status === 200) return 200;
      const { error } = JSON.parse(text) as { error: { code: string; policy_id?: string } };
      return [response.status, error.code, error.policy_id];
    };
    for (const passes of [{}, { service_tier: "default" }, { service_tier: "flex" }, { modalities: ["text"] }]) {
      expect(await send(passes)).toBe(200);
    }
    expect(await send({ service_tier: "priority" })).toEqual([400, "service_tier_not_allowed", id]);
    expect(await send({ web_search_options: {} })).toEqual([400, "hosted_tool_not_allowed", id]);
    for (const member of [{ Service_Tier: "flex" }, { service_tier: "FLEX" }, { modalities: ["audio"] }]) {
      expect(String(await send(member))).toMatch(/^400,[a-z_]+_not_allowed,/);
    }
    const effective = ["cloud", "policy", "effective", "--principal-type", "api_key", "--principal-id", key.id];
    expect(await cliJson(node, ...effective)).toMatchObject({
      guardrail: {
        service_tier_allow: [{ names: ["default", "flex"], sources: [{ policy_id: id }] }],
        modality_allow: [{ names: ["text"] }],
        hosted_tool_allow: [{ names: [] }],
      },
    });
    const cleared = await cliJson(node, "cloud", "guardrail", "update", id, "--clear-hosted-tool-allow");
    expect(cleared).toMatchObject({ spec: { service_tier_allow: ["default", "flex"], modality_allow: ["text"] } });
    await eventually(async () => (await send({ web_search_options: {} })) === 200);
  });

  it("applies to every key below the one that it is bound to", async () => {
    const parent = await mintKey(node, "parent", "inference:*,keys:*");
    const child = await cliAs(node, parent.token).json<{ id: string; token: string }>(
      "cloud",
      "keys",
      "mint",
      "--name",
      "child",
      "--scope",
      "inference:invoke",
    );
    await bindGuardrail(parent.id, { modelAllow: { models: ["talkative"] }, allowStreaming: false });
    const client = openAiClient(node, child.token);
    const models = await client.models.list();
    expect(models.data.map(({ id }) => id)).toEqual(["talkative"]);
    const denied = await failureOf(client.chat.completions.create(chatBody("x", " ECHO ")));
    expect(denied).toMatchObject({
      status: 403,
      code: "model_not_allowed",
      error: { rule: "guardrail.model_allow", principal: { id: parent.id } },
    });
    const streamed = await failureOf(client.chat.completions.create({ ...chatBody("x", "talkative"), stream: true }));
    expect(streamed).toMatchObject({ status: 400, code: "streaming_not_allowed" });
  });

  it("in shadow mode refuses nothing, and its decisions are in the request log", async () => {
    const key = await mintKey(node, "shadow");
    const { policyId, bindingId } = await bindGuardrail(
      key.id,
      { ...pattern("BLOCK"), maxRequestTokens: "1" },
      "BINDING_MODE_SHADOW",
    );
    const { data, request_id } = await openAiClient(node, key.token)
      .chat.completions.create(chatBody("it is 123-45-6789"))
      .withResponse();
    expect(data.choices[0]?.message.content).toBe("it is 123-45-6789");
    const rule = (name: string) => ({ policy_id: policyId, binding_id: bindingId, rule: `guardrail.${name}` });
    expect(await settledRow(node, request_id)).toMatchObject({
      status: "succeeded",
      shadow_denials: expect.arrayContaining([rule("max_request_tokens"), rule("content_patterns")]) as unknown,
    });
  });

  it("takes effect soon after it is bound to a key in use, and ends soon after it is unbound", async () => {
    const key = await mintKey(node, "changes");
    const client = openAiClient(node, key.token);
    const status = (): Promise<number> =>
      client.chat.completions.create(chatBody("x")).then(
        () => 200,
        (error: APIError) => error.status ?? 0,
      );
    expect(await status()).toBe(200);
    const { policyId, bindingId } = await bindGuardrail(key.id, { modelDeny: { models: ["*"] } });
    await eventually(async () => (await status()) === 403);
    await manage("UnbindPolicy", { policyId, bindingId });
    await eventually(async () => (await status()) === 200);
  });
});
