import { isObject } from "../wire/json.ts";

/**
 * Governed members: those of a request that make an upstream do something else than answer with the named model at its price,
 * by their effect. Each is refused unless the operator allows it in the providers file; any other member passes unchanged.
 *
 * One table for all upstreams, grouped by the APIs that accept a member: an address does not show which API is behind it (a
 * LiteLLM proxy can have any, and forwards to all others), and a provider refuses or ignores the members of other APIs.
 */

/**
 * Effect of a member.
 *
 * - `routes`: to another model or deployment, or to more attempts than one.
 * - `redirects`: to another address or account, or reports the request to others.
 * - `surcharge`: is billed beyond the price of tokens, or changes that price.
 * - `input`: adds tokens that the bytes of the request do not bound.
 * - `output`: adds tokens beyond the output bound, or is that bound under another name.
 */
export type MemberEffect = "routes" | "redirects" | "surcharge" | "input" | "output";

/** Names separated by white space; `*` stands for any characters. Case and separators are ignored: see `plainName`. */
type Table = Partial<Readonly<Record<MemberEffect, string>>>;

/** OpenAI's and Azure's references of chat completions, and of the Responses API, which proxies translate. */
const OPENAI: Table = {
  // Azure "on your data": address and key of a search service.
  redirects: "data_sources dataSources",
  // Tiers, searches, audio tokens, rejected tokens of a prediction.
  surcharge: "service_tier web_search_options modalities audio prediction",
  // Templates, conversations and files that are stored at the provider.
  input: "prompt input previous_response_id conversation attachments file_ids",
};

/** OpenRouter's schema of a request and its guides to routing, presets and plugins; Vercel's AI Gateway, TensorZero. */
const ROUTERS: Table = {
  routes: "models route routes routing provider providers preset transforms provider_options gateway tensorzero*",
  surcharge: "plugins speed",
};

/** LiteLLM's parameters of a completion and of its router, which its proxy takes from the body; its reliability, tag routing, client-side credentials and prompt management pages. */
const LITELLM: Table = {
  routes: `mock_response mock_tool_calls mock_timeout mock_delay mock_testing_* model_list model_group model_group_alias
    model_group_retry_policy model_info model_config model_alias_map model_id model_name base_model specific_deployment
    deployment deployment_id deployment_name engine router router_settings routing_strategy enable_tag_filtering _router_weights tags metadata litellm_* num_retries max_retries retry_policy
    retry_strategy cooldown_time allowed_fails guardrails disable_global_guardrail disable_global_guardrails
    input_cost_per_* output_cost_per_*`,
  redirects: `api_version api_type token auth_token organization organization_id project user_config extra_body extra_headers extra_query headers default_headers default_query query custom_llm_provider
    llm_provider use_litellm_proxy client http_client shared_session ssl_verify ssl_certificate proxy proxies
    proxy_server_request secret_fields credentials configurable_clientside_auth_params tenant_id client_id client_secret
    username password region region_name project_id space_id vertex_* aws_* azure_* gcs_* gcp_* s3_* watsonx_*
    sagemaker_* databricks_* bedrock_* oci_* langfuse_* langsmith_* lunary_* arize_* posthog_* dynamic_* callbacks
    callback_settings success_callback failure_callback service_callback logger_fn webhook webhooks host endpoint`,
  input: "prompt_id prompt_variables prompt_label prompt_version vector_store_ids",
};

/** References of Anthropic, xAI, Groq, Perplexity, Together, Mistral, Cohere, Gemini, DashScope, Hunyuan and Bedrock: what they bill in addition to tokens. */
const OTHER_PROVIDERS: Table = {
  routes: "agent_id compound_custom",
  redirects: "mcp_servers google additional_model_request_fields",
  surcharge: `enable_code_interpreter code_interpreter code_execution container inference_geo betas anthropic_beta
    enable_enhancement enable_multimedia builtin_tools built_in_tools server_tools return_images return_videos media_response safety_model
    performance_config context_management`,
  input: `documents document_ids connectors file files file_id image images image_url image_urls video videos video_url
    video_urls audios audio_url audio_urls media cached_content context_id thread thread_id`,
};

/** Parameters of the chat endpoints of vLLM, SGLang, TGI, llama.cpp and Ollama, and names of the output bound elsewhere. */
const SERVERS: Table = {
  routes: "lora lora_path lora_request lora_adapter adapter_id adapter_source data_parallel_rank",
  redirects: "kv_transfer_params bootstrap_host bootstrap_port bootstrap_room",
  // A template can add any number of tokens.
  input: `chat_template mm_processor_kwargs multi_modal_data prompt_embeds input_ids input_embeds image_data video_data
    audio_data`,
  output: `max_length max_gen_len min_length num_predict n_predict num_return_sequences num_completions num_generations
    candidate_count best_of use_beam_search beam_width num_beams options parameters generation_config sampling_params
    inference_config model_kwargs tokens_to_generate`,
};

/** Patterns of names that state their effect, including names that no reference lists yet. */
const TELLING_NAMES: Table = {
  routes: "*fallback*",
  redirects: "*api_key *api_base *access_token *secret* *password *url",
  surcharge: "*search* *modalities",
  output: "max*token* min*token* *thinking_budget *reasoning_budget",
};

/** Names without an effect that resemble others: filters of a search that is billed anyway. */
const NO_EFFECT = new Set([
  "disable_search",
  "enable_search_classifier",
  "num_search_results",
  "search_after_date_filter",
  "search_before_date_filter",
  "search_domain_filter",
  "search_language_filter",
  "search_mode",
  "search_recency_filter",
]);

/** Bound of a name that is compared; no API has a longer one. */
const MAX_NAME_CHARS = 100;

const EFFECT_OF = new Map<string, MemberEffect>();
const EFFECT_OF_PATTERN: { readonly pattern: RegExp; readonly effect: MemberEffect }[] = [];
for (const table of [OPENAI, ROUTERS, LITELLM, OTHER_PROVIDERS, SERVERS, TELLING_NAMES]) {
  for (const effect of ["routes", "redirects", "surcharge", "input", "output"] as const) {
    for (const name of table[effect]?.split(/\s+/) ?? []) {
      const parts = name.split("*").map(plainName);
      if (parts.length === 1) EFFECT_OF.set(plainName(name), effect);
      else EFFECT_OF_PATTERN.push({ pattern: new RegExp(`^${parts.join(".*")}$`), effect });
    }
  }
}

/** Name without case and separators: SDKs and proxies convert between `api_key`, `api-key` and `apiKey`. */
export function plainName(name: string): string {
  return name
    .slice(0, MAX_NAME_CHARS)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, "");
}

/**
 * Finds the effect of a member, whatever its value; undefined if it is not governed.
 *
 * @param name in lower case
 * @param readMembers members that the gateway reads or sets on the wire of the request, e.g. its output bound
 */
export function effectOf(name: string, readMembers: ReadonlySet<string> = NONE): MemberEffect | undefined {
  if (readMembers.has(name)) return undefined;
  const known = knownEffects.get(name);
  if (known !== undefined) return known.effect;
  const effect = findEffect(name);
  if (name.length <= MAX_NAME_CHARS && knownEffects.size < MAX_KNOWN_EFFECTS) knownEffects.set(name, { effect });
  return effect;
}

const NONE: ReadonlySet<string> = new Set();

/** Effects of names that were looked up: requests have the same few members, and a look-up tries a dozen patterns. */
const knownEffects = new Map<string, { readonly effect: MemberEffect | undefined }>();
const MAX_KNOWN_EFFECTS = 1_000;

function findEffect(name: string): MemberEffect | undefined {
  if (NO_EFFECT.has(name)) return undefined;
  const plain = plainName(name);
  return EFFECT_OF.get(plain) ?? EFFECT_OF_PATTERN.find(({ pattern }) => pattern.test(plain))?.effect;
}

/** Values that leave the model, its price and its tokens as they are, by plain name. */
const HARMLESS: ReadonlyMap<string, (value: unknown) => boolean> = new Map([
  // A request without a tier gets `auto`, the tier of the operator's account.
  ["servicetier", isAmong("auto", "default", "standard", "standard_only", "on_demand")],
  ["modalities", (value) => Array.isArray(value) && value.every((modality) => modality === "text")],
  // Edits that take something out of the input; a compaction runs the model once more.
  ["contextmanagement", hasOnlyClears],
  // OpenAI's values are texts; LiteLLM routes by `tags`, a list, and takes other settings from objects.
  ["metadata", (value) => isObject(value) && Object.values(value).every((text) => text === null || !isNested(text))],
]);

function isAmong(...values: readonly unknown[]): (value: unknown) => boolean {
  return (value) => values.includes(value);
}

function hasOnlyClears(value: unknown): boolean {
  const edits = isObject(value) && Object.keys(value).length === 1 ? value["edits"] : undefined;
  return Array.isArray(edits) && edits.every(isClear);
}

function isClear(edit: unknown): boolean {
  return isObject(edit) && typeof edit["type"] === "string" && edit["type"].startsWith("clear_");
}

function isNested(value: unknown): boolean {
  return typeof value === "object";
}

/**
 * True if a value of a member omits or switches off its effect.
 *
 * @param name in lower case
 */
export function isHarmless(name: string, value: unknown, readMembers: ReadonlySet<string> = NONE): boolean {
  const effect = effectOf(name, readMembers);
  if (effect === undefined || value === null || HARMLESS.get(plainName(name))?.(value) === true) return true;
  if (effect === "output") return false;
  if (value === false || (Array.isArray(value) && value.length === 0)) return true;
  // An empty object enables a search.
  return effect !== "surcharge" && isObject(value) && Object.keys(value).length === 0;
}
