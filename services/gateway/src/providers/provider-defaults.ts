import type { OutputField } from "../domain/request/output-field.ts";
import { DEFAULT_OUTPUT_TOKENS } from "../domain/request/token-bounds.ts";

/** Facts about the API at an address, for what the providers file leaves out. */
export interface ApiDefaults {
  /** Header that carries the key. */
  readonly apiKeyHeader: string;
  readonly outputField: OutputField;
  /** True if the API takes that name for all its models, so that the other one can be renamed. */
  readonly isOutputFieldKnown: boolean;
  /** True if the API has the Responses API. */
  readonly hasResponses: boolean;
  readonly isAzure: boolean;
}

const OPENAI_HOSTS = [".openai.com"];
const AZURE_HOSTS = [".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"];
const AZURE_V1 = /^\/openai\/v1\/?$/;

/** Reasoning models of OpenAI and Azure refuse `max_tokens`; most other APIs know no other name. */
export function apiDefaultsOf({ hostname, pathname }: URL): ApiDefaults {
  const isAmong = (hosts: readonly string[]): boolean => hosts.some((host) => hostname.endsWith(host));
  const isAzure = isAmong(AZURE_HOSTS);
  const isOpenAi = isAmong(OPENAI_HOSTS);
  const isOutputFieldKnown = isAzure || isOpenAi;
  return {
    apiKeyHeader: isAzure ? "api-key" : "authorization",
    outputField: isOutputFieldKnown ? "max_completion_tokens" : "max_tokens",
    isOutputFieldKnown,
    // The address of one deployment of Azure ends in its name, and has no other API.
    hasResponses: isOpenAi || (isAzure && AZURE_V1.test(pathname)),
    isAzure,
  };
}

/** Output bound for a model that reasons before it writes: OpenAI advises to leave at least so much for both. */
const REASONING_OUTPUT_TOKENS = 25_000;

/** Matches ids of models that always reason, also after the names of vendors and deployments. */
const REASONING =
  /(?:^|[^a-z0-9])(?:o[1-9]|gpt-?[5-9]|gpt-oss|codex|r1|qwq|magistral|grok-(?:3-mini|[4-9])|gemini-(?:2\.5|[3-9]))(?![a-z0-9])|reason|thinking/i;
/** Matches ids of variants that do not reason. */
const NOT_REASONING = /non-?reasoning|(?:^|[-_/])chat(?:$|[-_])/i;

/** Output bound for a model that reasons if it is asked to, within the same bound; each of them can write at least 32,000. */
const OPTIONAL_REASONING_OUTPUT_TOKENS = 16_000;

/** Matches ids of models that reason if they are asked to. */
const OPTIONALLY_REASONING = /(?:^|[^a-z0-9])claude-(?:(?:opus|sonnet|haiku|fable)-)?[4-9](?![0-9])/i;

/**
 * Output bound of each choice for which neither client nor operator gives one. Models that reason spend most of it before the first
 * word of the answer. Others get less: many write no more than that in one answer and refuse a higher bound.
 */
export function defaultOutputTokensOf(model: string): number {
  if (REASONING.test(model) && !NOT_REASONING.test(model)) return REASONING_OUTPUT_TOKENS;
  return OPTIONALLY_REASONING.test(model) ? OPTIONAL_REASONING_OUTPUT_TOKENS : DEFAULT_OUTPUT_TOKENS;
}
