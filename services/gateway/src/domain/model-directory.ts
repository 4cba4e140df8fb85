import type { TokenPrice } from "@routeplane/admission";
import type { OutputField } from "./chat-request.ts";
import type { MemberRules } from "./member-rules.ts";
import { modelNotFound } from "./refusal.ts";

/** A price that grows with the length of the input: the last step that the input exceeds holds for the whole request. */
export interface PriceStep {
  /** The step holds for inputs of more tokens than this. 0 for the first one. */
  readonly aboveInputTokens: number;
  readonly price: TokenPrice;
}

/** A model that can be called. */
export interface Model {
  /** Name of the provider, in lower case. */
  readonly provider: string;
  /** Id at the provider. */
  readonly id: string;
  /** By rising input length; the first one starts at 0. */
  readonly prices: readonly [PriceStep, ...PriceStep[]];
  /** Where its prices are from and a digest of all of them: equal prices have equal versions. */
  readonly priceVersion: string;
  /** The name under which its upstream takes the output bound. */
  readonly outputField: OutputField;
  /** What the operator allows of the members that are refused otherwise; undefined: nothing. */
  readonly memberRules?: MemberRules | undefined;
}

export interface ModelDirectory {
  /** In the order of the configuration. */
  readonly models: readonly Model[];
  /**
   * The model that a client's text names: `id` or `provider/id`, without regard to case and outer blanks. If several
   * providers have the id, the first one of the configuration is meant.
   */
  find(text: string): Model | undefined;
}

export function createModelDirectory(models: readonly Model[]): ModelDirectory {
  const byName = new Map<string, Model>();
  for (const model of models) byName.set(fold(`${model.provider}/${model.id}`), model);
  for (const model of models) if (!byName.has(fold(model.id))) byName.set(fold(model.id), model);
  return { models, find: (text) => byName.get(fold(text)) };
}

/** @throws Refusal 404 */
export function resolveModel(directory: ModelDirectory, text: string): Model {
  const model = directory.find(text);
  if (model === undefined) throw modelNotFound(text.trim());
  return model;
}

/** What tokens cost in a request with so many input tokens. */
export function priceAt({ prices }: Model, inputTokens: number): TokenPrice {
  const step = prices.findLast(({ aboveInputTokens }) => inputTokens > aboveInputTokens) ?? prices[0];
  return step.price;
}

function fold(text: string): string {
  return text.trim().toLowerCase();
}
