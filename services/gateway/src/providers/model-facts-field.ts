import type { Capabilities } from "../domain/request/model-directory.ts";
import type { WireName } from "../domain/wires/wire-name.ts";
import type { Field } from "./yaml-field.ts";

/** Wire that the upstream of a provider speaks, and that requests of other wires are translated to. */
export type Protocol = "openai" | "anthropic";

/** Facts about a model that the gateway cannot ask its upstream for; undefined where neither the model nor its provider has one. */
export interface ModelFacts {
  readonly wires: ReadonlySet<WireName> | undefined;
  readonly contextTokens: number | undefined;
  readonly capabilities: Capabilities;
}

/** Fields of a provider and of a model that say what the upstream can do. */
export const FACT_FIELDS = ["wires", "context_tokens", "capabilities"] as const;

export const NO_MODEL_FACTS: ModelFacts = { wires: undefined, contextTokens: undefined, capabilities: {} };

/** Bound of a context: ten times the longest one known. */
const MAX_CONTEXT_TOKENS = 20_000_000;

const WIRES_OF: Readonly<Record<Protocol, readonly WireName[]>> = {
  openai: ["chat", "responses", "embeddings"],
  anthropic: ["messages"],
};

/** @param ofProvider facts that apply where the field has none */
export function readModelFacts(field: Field, protocol: Protocol, ofProvider = NO_MODEL_FACTS): ModelFacts {
  return {
    wires: readWires(field.optional("wires"), protocol) ?? ofProvider.wires,
    contextTokens: field.optional("context_tokens")?.integer(1, MAX_CONTEXT_TOKENS) ?? ofProvider.contextTokens,
    capabilities: { ...ofProvider.capabilities, ...readCapabilities(field.optional("capabilities")) },
  };
}

/** @throws ProvidersFileError also for an empty list: nothing could reach the model */
function readWires(field: Field | undefined, protocol: Protocol): ReadonlySet<WireName> | undefined {
  const wires = field?.items().map((item) => item.oneOf(WIRES_OF[protocol]));
  if (wires?.length === 0) throw field?.fault("must name at least one wire, or be left out");
  return wires && new Set(wires);
}

function readCapabilities(field: Field | undefined): Capabilities {
  if (field === undefined) return {};
  const names = ["tools", "images", "audio", "documents", "reasoning"] as const;
  field.onlyMembers(names);
  const given = names.flatMap((name) => {
    const value = field.optional(name)?.boolean();
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(given);
}
