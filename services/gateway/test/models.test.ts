import { createLogger } from "@routeplane/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createGuards } from "../src/domain/guardrails/guard.ts";
import { ProviderSet } from "../src/domain/provider-set.ts";
import { createModelDirectory } from "../src/domain/request/model-directory.ts";
import { BodyBudget } from "../src/handlers/body-budget.ts";
import { startHttpServer } from "../src/handlers/http-server.ts";
import { unknownMethod } from "../src/handlers/management.ts";
import { modelsRoutes } from "../src/handlers/models.ts";
import { createRouter } from "../src/handlers/router.ts";
import { fakeGuardrailDirectory } from "./fake-guardrail-directory.ts";
import { callerWith } from "./fake-verifier.ts";
import { loadProvidersText } from "./load-providers-text.ts";

const FILE = `providers:
  - name: here
    protocol: openai
    base_url: http://127.0.0.1:1/v1
    api_key_env: HERE_API_KEY
    models:
      - id: big
        wires: [chat]
        context_tokens: 1000
        capabilities: {tools: true, images: false}
        price: {input_usd_per_mtok: 2.5, output_usd_per_mtok: 10, cached_input_usd_per_mtok: 1.25}
      - {id: vectors, wires: [embeddings], price: {input_usd_per_mtok: 3, output_usd_per_mtok: 9}}
  - name: there
    protocol: anthropic
    base_url: http://127.0.0.1:2/v1
    api_key_env: THERE_API_KEY
    models:
      - {id: big, price: {input_usd_per_mtok: 1, output_usd_per_mtok: 1}}
      - {id: small, price: {input_usd_per_mtok: 1, output_usd_per_mtok: 1}}
      - {id: tiny, fallback: [small, here/big], price: {input_usd_per_mtok: 1, output_usd_per_mtok: 1}}
`;
const LOADED_AT = new Date("2026-11-30T01:02:03.456Z");

let url: string;
let stop: () => Promise<void>;
beforeAll(async () => {
  const variable = (name: string) => (name === "HERE_API_KEY" ? "sk-here-0123" : undefined);
  const models = loadProvidersText(FILE, { variable }).flatMap((provider) => provider.models);
  const providers = { current: new ProviderSet(createModelDirectory(models), new Map(), LOADED_AT) };
  const guardOf = createGuards(fakeGuardrailDirectory([]));
  const routes = modelsRoutes({ verifyKey: async () => callerWith(["inference:*"]), guardOf, providers });
  const log = createLogger("gateway", (line) => line, "silent");
  const bodies = new BodyBudget(1 << 20);
  const router = createRouter({ routes, unknownMethod, bodies, redact: (text) => text, log, clock: Date.now });
  const server = await startHttpServer({ host: "127.0.0.1", port: 0, ...router });
  url = `http://127.0.0.1:${server.port}`;
  stop = () => server.stop();
});
afterAll(() => stop());

async function get(path: string, headers: Record<string, string> = {}) {
  const response = await fetch(url + path, { headers: { authorization: "Bearer rp_x", ...headers } });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const getAsAnthropic = (path: string) => get(path, { "anthropic-version": "2023-06-01" });

describe("the list of models", () => {
  it("has the form of the OpenAI API, what is known of each model, and the unavailable ones", async () => {
    const { body } = await get("/v1/models");
    const common = { object: "model", created: Math.floor(LOADED_AT.getTime() / 1000) };
    const price = (input: number, output: number, rates: object = {}) => ({
      price: {
        version: expect.stringMatching(/^file:[0-9a-f]{12}$/) as string,
        input_pico_usd: input * 1e6,
        output_pico_usd: output * 1e6,
        request_pico_usd: 0,
        ...rates,
      },
    });
    expect(body).toEqual({
      object: "list",
      data: [
        {
          id: "big",
          ...common,
          owned_by: "here",
          status: "available",
          context_tokens: 1_000,
          capabilities: { tools: true, images: false },
          ...price(2.5, 10, { cached_input_pico_usd: 1_250_000 }),
          cheapest_request_micro_usd: 13,
        },
        {
          id: "vectors",
          ...common,
          owned_by: "here",
          status: "available",
          ...price(3, 9),
          cheapest_request_micro_usd: 3,
        },
        { id: "there/big", ...common, owned_by: "there", status: "unavailable", ...price(1, 1) },
        { id: "small", ...common, owned_by: "there", status: "unavailable", ...price(1, 1) },
        // Its provider lacks its key, but one of its fallbacks has one; requests are admitted for that fallback.
        {
          id: "tiny",
          ...common,
          owned_by: "there",
          status: "available",
          ...price(1, 1),
          cheapest_request_micro_usd: 13,
        },
      ],
    });
    expect((await get("/v1/models/there/big")).body).toEqual((body["data"] as object[])[2]);
  });

  it("has no entry without a name: the path is unknown", async () => {
    expect(await get("/v1/models/")).toMatchObject({ status: 404, body: { error: { code: "unknown_url" } } });
  });

  it("has the form of the Anthropic API for its clients, without models that only create embeddings", async () => {
    const { body } = await getAsAnthropic("/v1/models");
    const model = (id: string) => ({ type: "model", id, display_name: id, created_at: "2026-11-30T01:02:03Z" });
    const away = { status: "unavailable" };
    expect(body).toEqual({
      data: [
        { ...model("big"), status: "available", context_tokens: 1_000 },
        { ...model("there/big"), ...away },
        { ...model("small"), ...away },
        { ...model("tiny"), status: "available" },
      ],
      has_more: false,
      first_id: "big",
      last_id: "tiny",
    });
    expect((await getAsAnthropic("/v1/models/small")).body).toEqual({ ...model("small"), ...away });
  });

  it.each([
    ["limit=3", ["big", "there/big", "small"], true],
    ["limit=3&after_id=small", ["tiny"], false],
    ["limit=2&after_id=big", ["there/big", "small"], true],
    ["limit=1&before_id=small", ["there/big"], true],
    ["limit=2&before_id=small", ["big", "there/big"], false],
    ["limit=9&after_id=big&before_id=tiny", ["there/big", "small"], false],
    ["after_id=tiny", [], false],
  ])("is paged for them by the query %s", async (query, ids, hasMore) => {
    const { body } = await getAsAnthropic(`/v1/models?${query}`);
    expect((body["data"] as { id: string }[]).map(({ id }) => id)).toEqual(ids);
    expect(body).toMatchObject({ has_more: hasMore, first_id: ids[0] ?? null, last_id: ids.at(-1) ?? null });
  });

  it.each([
    ["limit=0", "limit"],
    ["limit=1001", "limit"],
    ["limit=x", "limit"],
    ["after_id=nobody", "after_id"],
    ["before_id=vectors", "before_id"],
  ])("refuses a query with a fault: %s", async (query, param) => {
    const { status, body } = await getAsAnthropic(`/v1/models?${query}`);
    expect([status, body["error"]]).toEqual([400, expect.objectContaining({ code: "invalid_value", param })]);
  });
});
