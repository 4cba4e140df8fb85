import { isObject } from "./json-object.ts";

/**
 * Members of a request that make an upstream do something else than answer with the named model at its price, by their effect.
 * Each is refused unless the operator allows it in the providers file; any other member passes unchanged.
 *
 * One table for all upstreams, grouped by who takes a member: an address does not tell what stands behind it (a LiteLLM proxy
 * answers at any, and passes on to all others), and a provider of its own refuses or ignores the members of the others.
 */

/**
 * - `routes`: to another model or deployment, or to more attempts than one.
 * - `redirects`: to another address or account, or tells others of the request.
 * - `surcharge`: is billed beyond the price of tokens, or changes that price.
 * - `input`: adds tokens that the bytes of the request do not bound.
 * - `output`: adds tokens beyond the output bound, or is that bound under another name.
 */
export type MemberEffect = "routes" | "redirects" | "surcharge" | "input" | "output";

/** Names separated by white space; `*` at the end of one stands for any ending. */
type Table = Partial<Readonly<Record<MemberEffect, string>>>;

/** OpenAI's and Azure's references of chat completions, and of the Responses API, which proxies translate. */
const OPENAI: Table = {
  // Azure "on your data": address and key of a search service.
  redirects: "data_sources dataSources",
  // Tiers, searches, audio tokens, rejected tokens of a prediction.
  surcharge: "service_tier web_search_options modalities audio prediction",
  // Templates, conversations and files that are stored there.
  input: "prompt input previous_response_id conversation attachments file_ids",
  output: "max_output_tokens",
};

/** OpenRouter's schema of a request and its guides to routing, presets and plugins. */
const OPENROUTER: Table = {
  routes: "models route provider preset transforms",
  surcharge: "plugins speed",
};

/** LiteLLM's parameters of a completion and of its router, which its proxy takes from the body; its reliability, tag routing, client-side credentials and prompt management pages. */
const LITELLM: Table = {
  routes: `fallbacks context_window_fallbacks context_window_fallback_dict content_policy_fallbacks default_fallbacks
    fallback_models disable_fallbacks include_fallback_errors max_fallbacks mock_response mock_tool_calls mock_timeout
    mock_delay mock_testing_* model_list model_group model_group_alias model_group_retry_policy model_info model_config
    model_alias_map model_id base_model specific_deployment deployment deployment_id router router_settings
    routing_strategy enable_tag_filtering _router_weights tags metadata litellm_* num_retries max_retries retry_policy
    retry_strategy cooldown_time allowed_fails guardrails disable_global_guardrail disable_global_guardrails
    input_cost_per_* output_cost_per_*`,
  redirects: `api_base base_url api_key api_version api_type token auth_token access_token organization project
    user_config extra_body extra_headers extra_query headers default_headers default_query query custom_llm_provider
    llm_provider use_litellm_proxy client http_client shared_session ssl_verify ssl_certificate proxy proxies
    proxy_server_request secret_fields credentials configurable_clientside_auth_params tenant_id client_id client_secret
    username password region region_name project_id space_id vertex_* aws_* azure_* gcs_* gcp_* s3_* watsonx_*
    sagemaker_* databricks_* bedrock_* oci_* langfuse_* langsmith_* lunary_* arize_* posthog_* dynamic_* callbacks
    callback_settings success_callback failure_callback service_callback logger_fn webhook webhook_url endpoint_url`,
  input: "prompt_id prompt_variables prompt_label prompt_version vector_store_ids",
};

/** References of xAI, Groq, Perplexity, Together, Mistral, Cohere, Gemini, DashScope and Bedrock: what they bill besides tokens. */
const OTHER_PROVIDERS: Table = {
  routes: "agent_id compound_custom",
  redirects: "mcp_servers",
  surcharge: `search_parameters search_settings search_options enable_search forced_search search_strategy web_search
    enable_web_search google_search googleSearch google_search_retrieval enable_code_interpreter code_interpreter
    code_execution builtin_tools built_in_tools server_tools return_images return_videos media_response safety_model
    performance_config performanceConfig`,
  input: `documents document_ids connectors file files file_id image images image_url image_urls video videos video_url
    video_urls audios audio_url audio_urls media cached_content cachedContent context_id thread_id`,
};

/** Parameters of the chat endpoints of vLLM, SGLang, TGI, llama.cpp and Ollama, and names of the output bound elsewhere. */
const SERVERS: Table = {
  routes: "lora lora_path lora_request adapter_id adapter_source data_parallel_rank",
  redirects: "kv_transfer_params bootstrap_host bootstrap_port bootstrap_room",
  // A template of the client's may write any number of tokens.
  input: `chat_template mm_processor_kwargs multi_modal_data prompt_embeds input_ids input_embeds image_data video_data
    audio_data`,
  output: `max_new_tokens max_length max_tokens_to_sample max_gen_len max_gen_tokens max_generated_tokens maxTokens
    maxOutputTokens num_predict n_predict num_return_sequences num_completions num_generations candidate_count
    candidateCount best_of min_tokens min_length min_new_tokens use_beam_search beam_width num_beams options parameters
    generation_config generationConfig sampling_params inferenceConfig model_kwargs`,
};

const EFFECT_OF = new Map<string, MemberEffect>();
const EFFECT_OF_PREFIX = new Map<string, MemberEffect>();
for (const table of [OPENAI, OPENROUTER, LITELLM, OTHER_PROVIDERS, SERVERS]) {
  for (const effect of ["routes", "redirects", "surcharge", "input", "output"] as const) {
    for (const name of table[effect]?.toLowerCase().split(/\s+/) ?? []) {
      if (name.endsWith("*")) EFFECT_OF_PREFIX.set(name.slice(0, -1), effect);
      else EFFECT_OF.set(name, effect);
    }
  }
}

/**
 * The effect of a member, whatever its value.
 *
 * @param name in lower case
 */
export function effectOf(name: string): MemberEffect | undefined {
  const known = EFFECT_OF.get(name);
  if (known !== undefined) return known;
  for (const [prefix, effect] of EFFECT_OF_PREFIX) if (name.startsWith(prefix)) return effect;
  return undefined;
}

/** Values that leave the model, its price and its tokens as they are. */
const HARMLESS: ReadonlyMap<string, (value: unknown) => boolean> = new Map([
  // `auto` is what a request without a tier gets: that of the operator's account.
  ["service_tier", isAmong("auto", "default", "standard", "standard_only", "on_demand")],
  ["modalities", (value) => Array.isArray(value) && value.every((each) => each === "text")],
  // OpenAI's values are texts; LiteLLM routes by `tags`, a list, and takes other settings from objects.
  ["metadata", (value) => isObject(value) && Object.values(value).every((each) => each === null || !isNested(each))],
]);

function isAmong(...values: readonly unknown[]): (value: unknown) => boolean {
  return (value) => values.includes(value);
}

function isNested(value: unknown): boolean {
  return typeof value === "object";
}

/**
 * Whether a value leaves out or switches off the effect of a member.
 *
 * @param name in lower case
 */
export function isHarmless(name: string, value: unknown): boolean {
  const effect = effectOf(name);
  if (effect === undefined || value === null || HARMLESS.get(name)?.(value) === true) return true;
  if (effect === "output") return false;
  if (value === false || (Array.isArray(value) && value.length === 0)) return true;
  // An empty object switches a search on.
  return effect !== "surcharge" && isObject(value) && Object.keys(value).length === 0;
}
