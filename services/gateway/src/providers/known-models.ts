import type { Capabilities } from "../domain/request/model-directory.ts";
import type { WireName } from "../domain/wires/wire-name.ts";
import { type Catalogue, isEmbeddingModel } from "./catalogue.ts";
import type { ModelFacts, Protocol } from "./model-facts-field.ts";
import { apiDefaultsOf } from "./provider-defaults.ts";

/** Model at an address, as far as facts about it are known by these. */
export interface FactSources {
  readonly id: string;
  readonly protocol: Protocol;
  readonly baseUrl: URL;
  readonly catalogue: Catalogue;
  /** Facts that the file gives. */
  readonly facts: ModelFacts;
}

/** Facts about a model: those of the file, else what is known of its provider and of its name. */
export function factsOf(sources: FactSources) {
  const { id, baseUrl, catalogue, facts } = sources;
  const capabilities = {
    // Azure calls a model by the name of its deployment, which says nothing about the model.
    ...(!apiDefaultsOf(baseUrl).isAzure && catalogue.pricesOf(id) !== undefined && knownCapabilities(id)),
    ...facts.capabilities,
  };
  return {
    wires: wiresOf(sources),
    contextTokens: facts.contextTokens ?? catalogue.contextTokensOf(id),
    capabilities: Object.keys(capabilities).length === 0 ? undefined : capabilities,
  };
}

/** Matches ids of models that OpenAI serves by its Responses API alone. */
const RESPONSES_ONLY = /^(?:o\d|gpt-[5-9](?:\.\d+)?)-pro|^gpt-[5-9](?:\.\d+)?-codex|^codex-|-deep-research/;

/**
 * Wires of a model. What the catalogue knows comes first: a model that makes embeddings has no other wire, and one that is priced as
 * a chat does not make any.
 */
function wiresOf({ id, protocol, baseUrl, catalogue, facts }: FactSources): ReadonlySet<WireName> {
  if (protocol === "anthropic") return new Set(["messages"]);
  const { hasResponses, isAzure } = apiDefaultsOf(baseUrl);
  const known: readonly WireName[] = hasResponses ? ["chat", "responses", "embeddings"] : ["chat", "embeddings"];
  const isResponsesOnly = facts.wires === undefined && hasResponses && !isAzure && RESPONSES_ONLY.test(id);
  const wires: readonly WireName[] = isResponsesOnly ? ["responses"] : [...(facts.wires ?? known)];
  const isEmbedding = isEmbeddingModel(id);
  if (!isEmbedding && catalogue.pricesOf(id) === undefined) return new Set(wires);
  const fitting = wires.filter((wire) => (wire === "embeddings") === isEmbedding);
  return new Set(fitting.length === 0 ? wires : fitting);
}

const TEXT_ONLY: Capabilities = { images: false, audio: false, documents: false };

/** Capabilities by the id of a model, without the names of vendors before it; the first match applies. */
const KNOWN: readonly (readonly [RegExp, Capabilities])[] = [
  [/^(?:o1-mini|o1-preview)/, { ...TEXT_ONLY, tools: false }],
  [/^gpt-3\.5-turbo/, { ...TEXT_ONLY, tools: true, reasoning: false }],
  [/^(?:o3-mini|grok-3|grok-code-fast)/, { ...TEXT_ONLY, tools: true }],
  [/^gpt-4(?:-0314|-0613|-32k.*)?$/, { ...TEXT_ONLY, reasoning: false }],
  [/^(?:claude-2|claude-v1|claude-instant)/, { ...TEXT_ONLY, tools: false, reasoning: false }],
  [/^(?:codestral|mixtral|mistral-(?:7b|nemo|tiny))/, { ...TEXT_ONLY, reasoning: false }],
  [/^claude-3-(?:5-|haiku|sonnet|opus)/, { tools: true, images: true, audio: false, reasoning: false }],
  [/^claude-/, { tools: true, images: true, audio: false }],
  [
    /^gpt-4o(?:-mini)?(?:-\d{4}-\d{2}-\d{2})?$/,
    { tools: true, images: true, audio: false, documents: true, reasoning: false },
  ],
  [
    /^gpt-4\.1(?:-mini|-nano)?(?:-\d{4}-\d{2}-\d{2})?$/,
    { tools: true, images: true, documents: true, reasoning: false },
  ],
  [/^(?:o3|o4-mini)(?:-mini)?(?:-\d{4}-\d{2}-\d{2})?$/, { tools: true, images: true, documents: true }],
];

function knownCapabilities(id: string): Capabilities | undefined {
  const name = id.toLowerCase().replace(/^.*\//, "");
  return KNOWN.find(([pattern]) => pattern.test(name))?.[1];
}
