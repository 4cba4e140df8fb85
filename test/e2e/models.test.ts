import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Anthropic, { APIError } from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openAiClient } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { newNamespace } from "../harness/policies.ts";

/** Tests of the routes of models with the stock clients of both APIs. */

let node: TestNode;
let folder: string;

const PRICE = "price: {input_usd_per_mtok: 3, output_usd_per_mtok: 5}";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-models-test-"));
  const file = join(folder, "providers.yaml");
  const models = Array.from({ length: 30 }, (_, index) => `{id: m${index}, ${PRICE}}`).join(", ");
  const keyless = `{name: keyless, protocol: anthropic, base_url: "http://127.0.0.1:9/v1", api_key_env: NO_SUCH_KEY, models: [{id: c, aliases: [quick], ${PRICE}}]}`;
  const many = `{name: many, protocol: openai, base_url: "http://127.0.0.1:9/v1", models: [${models}]}`;
  await writeFile(file, `providers: [${many}, ${keyless}]`);
  node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: file } });
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await rm(folder, { recursive: true, force: true });
});

const anthropicClient = (apiKey: string) =>
  new Anthropic({ baseURL: node.url, apiKey, authToken: null, maxRetries: 0 });

const failureOf = (call: Promise<unknown>): Promise<APIError> =>
  call.then(
    () => expect.fail("was not refused"),
    (error: unknown) => (error instanceof APIError ? error : expect.fail(String(error))),
  );

describe("the models", () => {
  it("are the same to the stock clients of both APIs, in the format of each", async () => {
    const token = await node.apiKey();
    const openAi: string[] = [];
    for await (const { id } of openAiClient(node, token).models.list()) openAi.push(id);
    const client = anthropicClient(token);
    const anthropic: string[] = [];
    for await (const { id, type, display_name } of client.models.list({ limit: 7 })) {
      expect({ type, display_name }).toEqual({ type: "model", display_name: id });
      anthropic.push(id);
    }
    expect(anthropic).toEqual(openAi);
    expect(openAi).toEqual(expect.arrayContaining(["m0", "m29", "c"]));
    expect(await client.models.retrieve("quick")).toMatchObject({
      type: "model",
      id: "c",
      status: "unavailable",
    });
    expect(await openAiClient(node, token).models.retrieve("c")).toMatchObject({
      object: "model",
      owned_by: "keyless",
      status: "unavailable",
    });
  });

  it("that a guardrail denies are not listed for either, and not named on any page", async () => {
    const home = await newNamespace(node, "denied");
    await home.bind({ guardrail: { modelAllow: { models: ["m1*"] } } });
    const client = anthropicClient(home.root.token);
    const expected = ["m1", ...Array.from({ length: 10 }, (_, index) => `m1${index}`)];
    const { data, has_more, first_id, last_id } = await client.models.list();
    expect(data.map(({ id }) => id)).toEqual(expected);
    expect({ has_more, first_id, last_id }).toEqual({ has_more: false, first_id: "m1", last_id: "m19" });
    const page = await client.models.list({ before_id: "m11", limit: 1 });
    expect(page.data.map(({ id }) => id)).toEqual(["m10"]);
    const hidden = await failureOf(client.models.list({ after_id: "m2" }));
    const unknown = await failureOf(client.models.list({ after_id: "none" }));
    expect(hidden).toMatchObject({ status: 400, error: { error: { param: "after_id" } } });
    expect(hidden.error).toEqual(unknown.error);
  });

  it("are refused to a client of Anthropic's API in its envelope, with the id of the request", async () => {
    const argv = ["keys", "mint", "--name", "reader", "--scope", "usage:read"];
    const home = await newNamespace(node, "scopeless");
    const { token } = await home.cli<{ token: string }>(home.root.token, ...argv);
    const refusals = [
      [failureOf(anthropicClient("rp_live_unknown").models.list()), 401, "authentication_error"],
      [failureOf(anthropicClient(token).models.list()), 403, "permission_error"],
      [failureOf(anthropicClient(await node.apiKey()).models.retrieve("none")), 404, "not_found_error"],
    ] as const;
    for (const [refused, status, type] of refusals) {
      const { error, requestID, ...answer } = await refused;
      expect(answer).toMatchObject({ status, type });
      expect(error).toMatchObject({ type: "error", error: { type, message: expect.any(String) } });
      expect(requestID).toMatch(/^req_/);
    }
    const headers = { "anthropic-version": "2023-06-01" };
    const post = await fetch(`${node.url}/v1/models`, { method: "POST", headers });
    expect([post.status, await post.json()]).toMatchObject([
      405,
      { type: "error", error: { type: "invalid_request_error" } },
    ]);
  });
});
