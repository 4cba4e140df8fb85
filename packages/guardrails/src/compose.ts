import { deniesModel, matchesModel, type ResolvedModel } from "./model-match.ts";
import { blocksUninspectable, type ContentPattern, type Direction, type GuardrailSpec, UNNAMED_TIERS } from "./spec.ts";

/** Guardrail that applies, with its source: an opaque id, e.g. that of a binding. */
export interface SourcedGuardrail {
  readonly source: string;
  readonly spec: GuardrailSpec;
}

/** Rule with the sources of all guardrails that state it, in ascending order. */
export interface SourcedRule<T> {
  readonly value: T;
  readonly sources: readonly string[];
}

/**
 * Composition of several guardrails, with the most restrictive of each rule: whatever one of them refuses is refused. It does not depend on
 * their order or on repetitions.
 */
export interface EffectiveGuardrail {
  /** Allow-lists, each of which must contain the model. */
  readonly modelAllow: readonly SourcedRule<readonly string[]>[];
  readonly modelDeny: readonly SourcedRule<string>[];
  readonly maxRequestTokens: SourcedRule<number> | undefined;
  readonly allowStreaming: SourcedRule<false> | undefined;
  readonly contentPatterns: readonly SourcedRule<ContentPattern>[];
  /** Rules that block content that cannot be inspected, keyed by direction; undefined if such content passes. */
  readonly uninspectable: Readonly<Record<Direction, SourcedRule<"block"> | undefined>>;
  /** Allow-lists, each of which must contain the service tier; likewise for the next two. */
  readonly serviceTierAllow: readonly SourcedRule<readonly string[]>[];
  readonly modalityAllow: readonly SourcedRule<readonly string[]>[];
  readonly hostedToolAllow: readonly SourcedRule<readonly string[]>[];
}

export function compose(applied: readonly SourcedGuardrail[]): EffectiveGuardrail {
  const caps = applied.flatMap(({ source, spec }) => sourced(source, spec.maxRequestTokens));
  const smallest = Math.min(...caps.map(({ value }) => value));
  const streaming = applied.flatMap(({ source, spec }) =>
    spec.allowStreaming === false ? sourced(source, false as const) : [],
  );
  const uninspectable = (direction: Direction): SourcedRule<"block"> | undefined => {
    const blocking = applied.filter(({ spec }) => blocksUninspectable(spec, direction));
    return merged(blocking.flatMap(({ source }) => sourced(source, "block" as const)))[0];
  };
  const allowLists = (rule: "modelAllow" | "serviceTierAllow" | "modalityAllow" | "hostedToolAllow") =>
    merged(applied.flatMap(({ source, spec: { [rule]: list } }) => sourced(source, list && asSet(list))));
  return {
    modelAllow: allowLists("modelAllow"),
    modelDeny: merged(
      applied.flatMap(({ source, spec }) => asSet(spec.modelDeny ?? []).flatMap((entry) => sourced(source, entry))),
    ),
    maxRequestTokens: merged(caps.filter(({ value }) => value === smallest))[0],
    allowStreaming: merged(streaming)[0],
    contentPatterns: merged(
      applied.flatMap(({ source, spec }) =>
        (spec.contentPatterns ?? []).flatMap((pattern) => sourced(source, canonical(pattern))),
      ),
    ),
    uninspectable: { request: uninspectable("request"), response: uninspectable("response") },
    serviceTierAllow: allowLists("serviceTierAllow"),
    modalityAllow: allowLists("modalityAllow"),
    hostedToolAllow: allowLists("hostedToolAllow"),
  };
}

/** Rule that a request or answer breaks, with the first of its sources. */
export interface Violation {
  readonly rule:
    | "guardrail.model_allow"
    | "guardrail.model_deny"
    | "guardrail.allow_streaming"
    | "guardrail.max_request_tokens"
    | "guardrail.uninspectable"
    | "guardrail.service_tier_allow"
    | "guardrail.modality_allow"
    | "guardrail.hosted_tool_allow";
  readonly source: string;
}

/** Largest number of verdicts that are kept of a guardrail. */
const MAX_VERDICTS = 1_000;
/** Verdicts on models, by guardrail: a key can have 3,000 entries of 256 characters, and to match a model against them takes 30 ms. */
const verdicts = new WeakMap<object, Map<string, Violation | undefined>>();

/** Judges a model, once for each guardrail, which must not change. Deny-lists win over allow-lists. */
export function judgeModel(
  guardrail: Pick<EffectiveGuardrail, "modelAllow" | "modelDeny">,
  model: ResolvedModel,
): Violation | undefined {
  const known = verdicts.get(guardrail) ?? new Map<string, Violation | undefined>();
  verdicts.set(guardrail, known);
  const name = `${model.provider}\n${model.id}`;
  if (known.has(name)) return known.get(name);
  const verdict = verdictOn(model, guardrail);
  if (known.size >= MAX_VERDICTS) known.clear();
  known.set(name, verdict);
  return verdict;
}

function verdictOn(
  model: ResolvedModel,
  { modelAllow, modelDeny }: Pick<EffectiveGuardrail, "modelAllow" | "modelDeny">,
): Violation | undefined {
  const denied = modelDeny.find(({ value }) => deniesModel(value, model));
  if (denied !== undefined) return violation("guardrail.model_deny", denied);
  const missing = modelAllow.find(({ value }) => !value.some((entry) => matchesModel(entry, model)));
  return missing && violation("guardrail.model_allow", missing);
}

export function judgeStreaming({ allowStreaming }: EffectiveGuardrail, streamed: boolean): Violation | undefined {
  return streamed && allowStreaming !== undefined ? violation("guardrail.allow_streaming", allowStreaming) : undefined;
}

/** @param tokens sum of input and output tokens */
export function judgeTokens({ maxRequestTokens }: EffectiveGuardrail, tokens: number): Violation | undefined {
  if (maxRequestTokens === undefined || tokens <= maxRequestTokens.value) return undefined;
  return violation("guardrail.max_request_tokens", maxRequestTokens);
}

/** @param direction direction of the content that cannot be inspected */
export function judgeUninspectable({ uninspectable }: EffectiveGuardrail, direction: Direction): Violation | undefined {
  const rule = uninspectable[direction];
  return rule && violation("guardrail.uninspectable", rule);
}

/** @param tiers tiers that a request names; empty if it leaves the tier to the provider */
export function judgeServiceTiers(
  { serviceTierAllow }: EffectiveGuardrail,
  tiers: readonly string[],
): Violation | undefined {
  const isAllowed = (list: readonly string[]): boolean =>
    tiers.length === 0 ? UNNAMED_TIERS.some((tier) => list.includes(tier)) : tiers.every((tier) => list.includes(tier));
  const missing = serviceTierAllow.find(({ value }) => !isAllowed(value));
  return missing && violation("guardrail.service_tier_allow", missing);
}

/** @param modalities kinds of output that a request asks for */
export function judgeModalities(
  { modalityAllow }: EffectiveGuardrail,
  modalities: readonly string[],
): Violation | undefined {
  const missing = modalityAllow.find(({ value }) => !modalities.every((modality) => value.includes(modality)));
  return missing && violation("guardrail.modality_allow", missing);
}

/** @param tools tools that a request lets the provider run; a name that is not in `HOSTED_TOOLS` is on no list */
export function judgeHostedTools(
  { hostedToolAllow }: EffectiveGuardrail,
  tools: readonly string[],
): Violation | undefined {
  const missing = hostedToolAllow.find(({ value }) => !tools.every((tool) => value.includes(tool)));
  return missing && violation("guardrail.hosted_tool_allow", missing);
}

function violation(rule: Violation["rule"], { sources: [source = ""] }: SourcedRule<unknown>): Violation {
  return { rule, source };
}

function sourced<T>(source: string, value: T | undefined): SourcedRule<T>[] {
  return value === undefined ? [] : [{ value, sources: [source] }];
}

/** Merges equal rules into one with all their sources. The order depends on the values alone. */
function merged<T>(rules: readonly SourcedRule<T>[]): readonly SourcedRule<T>[] {
  const byText = new Map<string, SourcedRule<T>>();
  for (const { value, sources } of rules) {
    const text = JSON.stringify(value);
    byText.set(text, { value, sources: asSet([...(byText.get(text)?.sources ?? []), ...sources]) });
  }
  return [...byText].toSorted(([first], [second]) => (first < second ? -1 : 1)).map(([, rule]) => rule);
}

function asSet(entries: readonly string[]): readonly string[] {
  return [...new Set(entries)].toSorted();
}

function canonical({ name, pattern, action, appliesTo }: ContentPattern): ContentPattern {
  return { name, pattern, action, appliesTo };
}
