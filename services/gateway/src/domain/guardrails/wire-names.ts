/**
 * Names of members that the API defines, in requests, answers and JSON Schema. They are not content: a pattern for "role" does not
 * mean the member `role` of every message. Names that a client or a model chooses are content.
 */

const MESSAGES = `messages role content name tool_calls tool_call_id function_call id type function arguments custom input
  refusal audio reasoning reasoning_content reasoning_details thinking thinking_blocks signature data text image_url url
  detail input_audio format file file_id file_data filename cache_control ttl prefix partial annotations images video_url
  index summary encrypted_content redacted_thinking`;

const PARAMETERS = `model models tools functions description parameters strict tool_choice parallel_tool_calls
  response_format json_schema schema grammar syntax definition allowed_tools mode stream stream_options include_usage
  include_obfuscation n max_tokens max_completion_tokens temperature top_p top_k min_p top_a seed stop presence_penalty
  frequency_penalty repetition_penalty logit_bias logprobs top_logprobs user metadata store service_tier reasoning_effort
  effort exclude enabled verbosity modalities voice prediction safety_identifier prompt_cache_key prompt_cache_retention
  web_search_options search_context_size user_location approximate city country region timezone`;

const ANTHROPIC = `system stop_sequences thinking budget_tokens display input_schema tool_use_id is_error source media_type
  citations title context disable_parallel_tool_use user_id output_config output_format caller context_management edits keep
  trigger value content_block stop_sequence partial_json citation cited_text document_index document_title start_char_index
  end_char_index start_page_number end_page_number request_id container`;

const SCHEMA = `properties required items additionalProperties enum const anyOf oneOf allOf not $ref $defs definitions title
  default examples minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength pattern minItems maxItems
  uniqueItems prefixItems contains patternProperties propertyNames minProperties maxProperties if then else
  dependentRequired dependentSchemas nullable deprecated readOnly writeOnly $schema $id $anchor $comment contentEncoding
  contentMediaType`;

const ANSWERS = `object created system_fingerprint choices message delta transcript expires_at url_citation start_index
  end_index finish_reason native_finish_reason stop_reason usage prompt_tokens completion_tokens total_tokens
  prompt_tokens_details cached_tokens audio_tokens completion_tokens_details reasoning_tokens accepted_prediction_tokens
  rejected_prediction_tokens cost error code param provider token bytes logprob obfuscation content_filter_results
  prompt_filter_results`;

const NAMES = new Set([MESSAGES, PARAMETERS, ANTHROPIC, SCHEMA, ANSWERS].flatMap((names) => names.split(/\s+/)));

/** Matches places of objects whose members are named by a client or model. */
const OWN_NAMES =
  /(?:^|\.)(?:properties|patternProperties|\$defs|definitions|dependentRequired|dependentSchemas|metadata)$/;

/** True if the API defines a name. @param parent place of the object that has the member */
export function isWireName(name: string, parent: string): boolean {
  return NAMES.has(name) && !OWN_NAMES.test(parent);
}
