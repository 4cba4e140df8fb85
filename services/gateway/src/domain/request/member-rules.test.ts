import { describe, expect, it } from "vitest";
import { parseRequest } from "./parse-request.ts";
import { CHAT } from "../wires/chat/chat-wire.ts";
import { applyMemberRules, pricesOfTier, surcharged } from "./member-rules.ts";
import type { MemberRules, ModelRates, PriceSteps, Surcharge } from "./model-directory.ts";
import type { Refusal } from "../errors/refusal.ts";

const BODY = { model: "m", messages: [{ role: "user", content: "hi" }] };
const FUNCTION = { type: "function", function: { name: "f", parameters: { type: "object" } }, strict: true };

const NEVER = new AbortController().signal;

function parse(more: object) {
  return parseRequest(CHAT, Buffer.from(JSON.stringify({ ...BODY, ...more })), NEVER);
}

const price = (input: bigint, output: bigint) => ({ inputPicoUsd: input, outputPicoUsd: output });
const flat = (rates: ModelRates): PriceSteps => [{ aboveInputTokens: 0, price: rates }];
const PRICES = flat(price(1n, 2n));

async function refusalOf(more: object, memberRules?: MemberRules, prices = PRICES) {
  try {
    applyMemberRules(await parse(more), { prices, memberRules });
  } catch (error) {
    return error as Refusal;
  }
  return undefined;
}

const surcharge = (member: string, value?: string, priceFactorPpm = 1_000_000n, requestPicoUsd = 0n): Surcharge => ({
  member,
  value,
  priceFactorPpm,
  requestPicoUsd,
});

describe("a member that governs what the upstream does", () => {
  it.each<[string, unknown]>([
    ["models", ["gpt-4o"]],
    ["route", "fallback"],
    ["provider", { order: ["azure"] }],
    ["preset", "p"],
    ["plugins", [{ id: "web" }]],
    ["transforms", ["middle-out"]],
    ["fallbacks", [{ m: ["dear"] }]],
    ["context_window_fallback_dict", { m: "dear" }],
    ["model_list", [{}]],
    ["router", "x"],
    ["mock_testing_fallbacks", true],
    ["litellm_params", { model: "dear" }],
    ["metadata", { tags: ["paid"] }],
    ["api_base", "https://evil.example"],
    ["base_url", "https://evil.example"],
    ["api_key", "sk-1"],
    ["user_config", { model_list: [] }],
    ["extra_body", { model: "dear" }],
    ["extra_headers", { authorization: "x" }],
    ["aws_secret_access_key", "x"],
    ["vertex_project", "x"],
    ["azure_ad_token", "x"],
    ["langfuse_host", "https://evil.example"],
    ["kv_transfer_params", { remote_host: "x" }],
    ["service_tier", "priority"],
    ["service_tier", "flex"],
    ["service_tier", ["default"]],
    ["web_search_options", {}],
    ["modalities", ["text", "audio"]],
    ["modalities", "audio"],
    ["audio", { voice: "alloy", format: "wav" }],
    ["prediction", { type: "content", content: "x" }],
    ["search_parameters", { mode: "on" }],
    ["enable_search", true],
    ["max_new_tokens", 1_000_000],
    ["num_predict", -1],
    ["max_output_tokens", 9],
    ["maxOutputTokens", 9],
    ["best_of", 20],
    ["min_tokens", 9_000],
    ["options", { num_predict: 9_000 }],
    ["use_beam_search", true],
    ["candidate_count", 8],
    ["prompt", "hi"],
    ["previous_response_id", "resp_1"],
    ["chat_template", "{% for i in range(100000) %}x{% endfor %}"],
    ["images", ["data:image/png;base64,AA"]],
    ["file_ids", ["file-1"]],
    ["Models", ["gpt-4o"]],
    ["SERVICE_TIER", "priority"],
    ["serviceTier", "priority"],
    ["web-search-options", {}],
    ["apiKey", "sk-1"],
    ["api.base", "https://evil.example"],
    ["baseURL", "https://evil.example"],
    ["extraBody", { model: "dear" }],
    ["contextWindowFallbacks", ["dear"]],
    ["maxTokens", 9],
    ["max-completion-tokens", 9],
    ["bestOf", 20],
    ["num predict", 9_000],
    ["fallback_model", "dear"],
    ["model_fallbacks", ["dear"]],
    ["providerOptions", { gateway: { models: ["dear"] } }],
    ["tensorzero::variant_name", "dear"],
    ["model_name", "dear"],
    ["routing", { order: ["dear"] }],
    ["callback_url", "https://evil.example"],
    ["google", { tools: [] }],
    ["additionalModelRequestFields", { max_tokens: 9_000 }],
    ["inference_geo", "us"],
    ["with_search_enhance", true],
    ["use_search_engine", true],
    ["response_modalities", ["AUDIO"]],
    ["max_response_tokens", 9_000],
    ["max_some_future_tokens", 9_000],
    ["tokens_to_generate", 9_000],
    ["thinking_budget", 9_000],
  ])("is refused by name: %s %j", async (name, value) => {
    const refusal = await refusalOf({ [name]: value });
    expect(refusal).toMatchObject({ status: 400, code: "member_not_allowed", param: name });
    expect(refusal?.message).toContain("allow_members");
  });

  it("is refused so that Anthropic's clients send the whole conversation, if the upstream was to keep it", async () => {
    expect(await refusalOf({ thread: { type: "continue", previous_message_id: "msg_1" } })).toMatchObject({
      status: 400,
      param: "thread",
      details: { details: { error_code: "thread_unsupported_request" } },
    });
  });

  it.each<[string, object]>([
    ["tools[0].type", { type: "web_search" }],
    ["tools[0].type", { type: "code_interpreter", container: { type: "auto" } }],
    ["tools[0].type", { type: "mcp", server_url: "https://evil.example" }],
    ["tools[0].type", { googleSearch: {} }],
    ["tools[0].type", { type: "Function", function: { name: "f" } }],
    ["tools[0].type", { type: ["function"], function: { name: "f" } }],
    ["tools[0].googleSearch", { ...FUNCTION, googleSearch: {} }],
  ])("is refused by name: a tool that the provider runs, %s of %j", async (param, tool) => {
    expect(await refusalOf({ tools: [tool] })).toMatchObject({ status: 400, code: "member_not_allowed", param });
    expect((await refusalOf({ tools: [FUNCTION, tool] }))?.param).toBe(param.replace("[0]", "[1]"));
  });

  it.each([[{ 0: { type: "mcp" } }], ["mcp"], [["mcp"]]])(
    "is refused by name: tools that are no list of objects, %j",
    async (tools) => {
      expect(await refusalOf({ tools })).toMatchObject({ status: 400, code: "member_not_allowed" });
    },
  );

  it("is refused wherever it is written twice, so that no value hides behind a harmless one", async () => {
    const text = '{"model":"m","messages":[{}],"service_tier":"priority","Service_Tier":"default"}';
    await expect(parseRequest(CHAT, Buffer.from(text), NEVER)).rejects.toThrow("is given twice");
  });

  it.each<object>([
    { service_tier: "default" },
    { service_tier: "auto" },
    { service_tier: null },
    { modalities: ["text"] },
    { store: false, metadata: { user: "anna", run: "7" } },
    { store: true, metadata: null, audio: null, prediction: null, web_search_options: null },
    { fallbacks: [], models: [], plugins: [], provider: {}, enable_search: false, max_new_tokens: null },
    { tools: [FUNCTION, { type: "custom", custom: { name: "c" } }], tool_choice: "auto", parallel_tool_calls: false },
    { temperature: 0, top_p: 1, stop: ["x"], seed: 1, response_format: { type: "json_object" }, logprobs: true },
    { user: "u", safety_identifier: "s", prompt_cache_key: "k", reasoning_effort: "low", verbosity: "low" },
    { presence_penalty: 0, frequency_penalty: 0, logit_bias: { 1: 2 }, top_logprobs: 2, functions: [], n: 2 },
    { top_k: 5, min_p: 0.1, repetition_penalty: 1.1, reasoning: { effort: "low" }, thinking: { type: "enabled" } },
    { search_mode: "academic", search_domain_filter: ["example.com"], num_search_results: 3, disable_search: true },
    { max_tool_calls: 2, stop_token_ids: [1], thinking_token_limit: 1, truncate_prompt_tokens: 9, keep_alive: "5m" },
    { max_tokens: 5, seed: 1, ignore_eos: false, guided_json: {}, include_reasoning: true, usage: { include: true } },
    { chat_template_kwargs: { enable_thinking: false }, x_of_the_future: { models: ["a"] } },
  ])("passes with a value that has no effect, and so does any other member: %j", async (more) => {
    expect(await refusalOf(more)).toBeUndefined();
  });

  it("passes where the operator allows it", async () => {
    const rules = { allowed: new Set(["fallbacks", "images"]), surcharges: [] };
    expect(await refusalOf({ fallbacks: ["b"], Images: ["x"] }, rules)).toBeUndefined();
    expect(await refusalOf({ fallbacks: ["b"], models: ["x"] }, rules)).toMatchObject({ param: "models" });
  });

  it("counts as a file if it adds input, because it may be allowed", async () => {
    const { media } = (await parse({ images: ["x"], Video_URL: "x", files: [] })).input;
    expect(media.map(({ kind }) => kind)).toEqual(["file", "file"]);
  });
});

describe("a surcharge", () => {
  const rules: MemberRules = {
    allowed: new Set(),
    surcharges: [
      surcharge("service_tier", "priority", 2_000_000n),
      surcharge("web_search_options", undefined, 1_000_000n, 25_000_000_000n),
      surcharge("tools", "code_interpreter", 1_000_000n, 30_000_000_000n),
      surcharge("modalities", "audio", 16_000_000n),
      surcharge("turbo", undefined, 3_000_000n),
    ],
  };
  const applied = async (more: object) => {
    const { surcharges } = applyMemberRules(await parse(more), { prices: PRICES, memberRules: rules });
    return surcharges.map(({ member, value }) => [member, value]);
  };

  it("applies for the values that are priced, and others are refused", async () => {
    expect(await applied({ web_search_options: {} })).toEqual([["web_search_options", undefined]]);
    expect(await applied({ modalities: ["text", "audio"] })).toEqual([["modalities", "audio"]]);
    expect(await refusalOf({ modalities: ["audio", "video"] }, rules)).toMatchObject({ param: "modalities" });
    expect(await applied({ turbo: true })).toEqual([["turbo", undefined]]);
    const interpreter = { type: "code_interpreter" };
    expect(await applied({ tools: [interpreter, FUNCTION, interpreter] })).toHaveLength(1);
    expect(await refusalOf({ tools: [interpreter, { type: "mcp" }] }, rules)).toMatchObject({ param: "tools[1].type" });
  });

  it("raises every rate of every step, rounded up, and adds what the request itself costs", () => {
    const prices: PriceSteps = [
      { aboveInputTokens: 0, price: { ...price(3n, 5n), cachedInputPicoUsd: 1n, reasoningPicoUsd: undefined } },
      { aboveInputTokens: 9, price: { ...price(30n, 50n), requestPicoUsd: 2n } },
    ];
    expect(surcharged(prices, [surcharge("a", "b", 1_500_000n), surcharge("c", undefined, 1_000_000n, 7n)])).toEqual([
      { aboveInputTokens: 0, price: { ...price(5n, 8n), cachedInputPicoUsd: 2n, requestPicoUsd: 7n } },
      { aboveInputTokens: 9, price: { ...price(45n, 75n), requestPicoUsd: 9n } },
    ]);
    expect(surcharged(prices, [])).toBe(prices);
  });
});

describe("a service tier", () => {
  const serviceTiers = new Map([["flex", flat(price(10n, 10n))]]);
  const memberRules: MemberRules = {
    allowed: new Set(),
    surcharges: [surcharge("service_tier", "Priority", 2_000_000n), surcharge("service_tier", "flex", 5_000_000n)],
  };
  const model = { prices: PRICES, serviceTiers, memberRules };

  it("has its own prices, else those of its surcharge, else those of the default tier under each of its names", () => {
    expect(pricesOfTier(model, "flex")).toEqual(flat(price(10n, 10n)));
    expect(pricesOfTier(model, "priority")).toEqual(flat({ ...price(2n, 4n), requestPicoUsd: 0n }));
    for (const name of ["auto", "default", "standard", "standard_only", "on_demand"]) {
      expect(pricesOfTier(model, name)).toBe(PRICES);
    }
    expect(pricesOfTier(model, "scale")).toBeUndefined();
    const anyTier = { allowed: new Set<string>(), surcharges: [surcharge("service_tier", undefined, 3_000_000n)] };
    expect(pricesOfTier({ prices: PRICES, memberRules: anyTier }, "scale")?.[0].price.inputPicoUsd).toBe(3n);
    expect(pricesOfTier({ prices: PRICES, memberRules: anyTier }, "default")).toBe(PRICES);
  });

  it.each(["flex", "FLEX", "priority", "default", "auto"])("passes if it has a price: %s", async (tier) => {
    const { serviceTier } = applyMemberRules(await parse({ service_tier: tier }), model);
    expect(serviceTier).toBe(tier.toLowerCase());
  });

  it.each(["scale", "", " flex", "batch"])("is refused if it has none: %j", async (tier) => {
    await expect(async () => applyMemberRules(await parse({ service_tier: tier }), model)).rejects.toMatchObject({
      code: "member_not_allowed",
      param: "service_tier",
    });
  });

  it("passes without a price where the operator allows the member and prices no tier", async () => {
    const allowed = new Set(["service_tier"]);
    const request = await parse({ service_tier: "scale" });
    const unpriced = { prices: PRICES, memberRules: { allowed, surcharges: [] } };
    expect(applyMemberRules(request, unpriced).serviceTier).toBe("scale");
    const refusal = expect.objectContaining({ param: "service_tier" }) as unknown;
    expect(() => applyMemberRules(request, { ...unpriced, serviceTiers })).toThrow(refusal);
    expect(() => applyMemberRules(request, { ...model, memberRules: { ...memberRules, allowed } })).toThrow(refusal);
  });
});

describe("output audio", () => {
  const withAudio = flat({ ...price(1n, 2n), outputAudioPicoUsd: 9n });
  const AUDIO = { modalities: ["text", "audio"], audio: { voice: "alloy", format: "wav" } };

  it("passes for a model that has a rate for its tokens, and is refused for others", async () => {
    expect(applyMemberRules(await parse(AUDIO), { prices: withAudio })).toMatchObject({ hasOutputAudio: true });
    expect(applyMemberRules(await parse({ modalities: ["text"] }), { prices: withAudio }).hasOutputAudio).toBe(false);
    expect(await refusalOf(AUDIO)).toMatchObject({ param: "modalities" });
    expect(await refusalOf({ audio: AUDIO.audio })).toMatchObject({ param: "audio" });
    for (const modalities of [["text", "audio", "image"], "audio", { 0: "audio" }]) {
      expect(await refusalOf({ modalities }, undefined, withAudio)).toMatchObject({ param: "modalities" });
    }
  });
});
