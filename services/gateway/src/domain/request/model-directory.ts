import type { Rates } from "@routeplane/admission";
import type { OutputField } from "./output-field.ts";
import { modelNotFound } from "../errors/refusal.ts";
import type { WireName } from "../wires/wire-name.ts";
import { createModelNames, fold, type NamedModel } from "./model-names.ts";

/** Prices of a model. */
export interface ModelRates extends Rates {
  /** Input that the provider writes to a cache for an hour, because the request says so; `cacheWritePicoUsd` if undefined. */
  readonly hourCacheWritePicoUsd?: bigint | undefined;
}

/** Price of a range of input lengths. The last step that the input exceeds applies to the whole request. */
export interface PriceStep {
  /** Input length that the step is above. 0 for the first one. */
  readonly aboveInputTokens: number;
  readonly price: ModelRates;
}

/** Price steps in ascending order of input length; the first one is above 0. */
export type PriceSteps = readonly [PriceStep, ...PriceStep[]];

/** Members that the operator allows for one model, although they are refused by default. */
export interface MemberRules {
  /** Names in lower case. */
  readonly allowed: ReadonlySet<string>;
  readonly surcharges: readonly Surcharge[];
}

/** Price of a member, or of one of its values. */
export interface Surcharge {
  /** Name in lower case; `tools` for tools that the provider runs. */
  readonly member: string;
  /** Value, or item of a list; of a tool, its type. Undefined for any. */
  readonly value: string | undefined;
  /** Factor of the model's price of tokens, in millionths. */
  readonly priceFactorPpm: bigint;
  /** Pico-USD for the request. */
  readonly requestPicoUsd: bigint;
}

export type UsageInStreams = "ask" | "never";
export type TokenizerName = "o200k_base" | "cl100k_base";

/** Treatment of requests to a model whose price is not known: charged at a default price as an estimate, or refused. */
export type UnknownPrices = "charge" | "refuse";

/** Use of a model by one request. */
export interface ModelUse {
  /** Prices that the request may be charged by, in any order; before its answer those of each service tier that may serve it. */
  readonly reserved: readonly PriceStep[];
  /** True if input, or output, has audio that an answer may leave out of its usage. */
  readonly hasInputAudio: boolean;
  readonly hasOutputAudio: boolean;
  /** True if only some of what the request caches is cached for an hour. */
  readonly hasMixedCaching: boolean;
}

/** Abilities of a model other than reading and writing text; undefined where they are not known. */
export interface Capabilities {
  /** Functions that the client runs. */
  readonly tools?: boolean | undefined;
  readonly images?: boolean | undefined;
  readonly audio?: boolean | undefined;
  readonly documents?: boolean | undefined;
  /** Reasoning whose amount a request can set. */
  readonly reasoning?: boolean | undefined;
}

/** Model that serves a part of the requests to another one. */
export interface Deployment {
  readonly provider: string;
  readonly id: string;
  /** Share of the requests, relative to the weights of the other deployments; at least 1. */
  readonly weight: number;
}

/** A model that can be called, at the prices of one moment. */
export interface Model extends NamedModel {
  /** Wires that its upstream speaks for it; `chat` alone if undefined. */
  readonly wires?: ReadonlySet<WireName> | undefined;
  /** Reason why it cannot be called: the variable that should hold the key of its provider is not set. Undefined if there is none. */
  readonly unavailable?: { readonly variable: string } | undefined;
  /** Input and output tokens that fit into one request; undefined if it is not known. */
  readonly contextTokens?: number | undefined;
  readonly capabilities?: Capabilities | undefined;
  /** Deployments that share its requests, itself first; undefined if it serves them alone. Deployments of those are not followed. */
  readonly deployments?: readonly Deployment[] | undefined;
  /** Models to which a request goes once this one has failed, in order, as `provider/id`. Their own fallbacks are not followed. */
  readonly fallback?: readonly string[] | undefined;
  /** Bound of the further attempts of a request at this model; undefined for the gateway's own. */
  readonly retries?: number | undefined;
  readonly prices: PriceSteps;
  /** Source of its prices and a digest of all of them: equal prices have equal versions. */
  readonly priceVersion: string;
  /** Prices of service tiers, keyed by their name in lower case; `prices` are those of the default tier. */
  readonly serviceTiers?: ReadonlyMap<string, PriceSteps> | undefined;
  /** True if charges by its prices are estimates, because they are not known, or not of every part; false if undefined. */
  readonly isPriceEstimated?: boolean | undefined;
  /** True if its price is not known and the operator refuses such requests; false if undefined. */
  readonly isPriceRefused?: boolean | undefined;
  /** Use of the model by one request, as far as its cost depends on it; undefined before a request is priced. */
  readonly use?: ModelUse | undefined;
  /** Returns the model at the prices of another moment; undefined if they never change. */
  readonly at?: ((moment: Date) => Model) | undefined;
  /** Name under which its upstream takes the output bound. */
  readonly outputField: OutputField;
  /** True if its upstream is known to take that name: a client's output bound under the other one is renamed. */
  readonly renamesOutputField?: boolean | undefined;
  /** Output bound of each choice for which the client gives none; `DEFAULT_OUTPUT_TOKENS` if undefined. */
  readonly defaultOutputTokens?: number | undefined;
  /** `never` if its upstream refuses `stream_options`: the usage of a stream is then reported only where the client asks for it. */
  readonly usageInStreams?: UsageInStreams | undefined;
  /** Vocabulary by which its upstream counts tokens; undefined if it is not configured. */
  readonly tokenizer?: TokenizerName | undefined;
  /** Members that the operator allows although they are refused by default; undefined for none. */
  readonly memberRules?: MemberRules | undefined;
}

/** Models that can be called, and the prices of those that can answer. */
export interface ModelDirectory {
  /** Models in the order of the configuration. */
  readonly models: readonly Model[];
  /** Finds the model that a text names, as `ModelNames` says. */
  find(text: string): Model | undefined;
  /**
   * Finds the model whose price is charged for an answer: the requested one if the answer names it, a version or variant of it,
   * or an unknown model; else the other model of the provider.
   *
   * @param model requested model at the prices of the moment
   */
  findBilled(model: Model, answered: string, moment: Date): Model;
}

/** @param findPriced finds a model that cannot be called, at its public price */
export function createModelDirectory(
  models: readonly Model[],
  findPriced: (provider: string, id: string) => Model | undefined = () => undefined,
): ModelDirectory {
  const names = createModelNames(models);
  return {
    models,
    find: (text) => names.find(text),
    findBilled(model, answered, moment) {
      if (answered === model.id) return model;
      const served = names.findServed(model.provider, answered);
      // The operator's price applies to any model behind a deployment.
      const isOperatorPriced = model.priceVersion.startsWith("file:");
      const isKnown = isOperatorPriced || isSameModel(model.id, answered) || isVersionOf(model.id, answered);
      const answeringModel = served ?? (isKnown ? undefined : findPriced(model.provider, answered));
      if (answeringModel === undefined) return model;
      const priced = modelAt(answeringModel, moment);
      return hasSamePrices(priced, model) ? model : priced;
    },
  };
}

/** Returns a model at the prices of a moment. */
export function modelAt(model: Model, moment: Date): Model {
  return model.at?.(moment) ?? model;
}

/** Finds the model that a request names. @throws Refusal 404 */
export function resolveModel(directory: ModelDirectory, text: string): Model {
  const model = directory.find(text);
  if (model === undefined) throw modelNotFound(text.trim());
  return model;
}

/** Prices of a request with this many input tokens. */
export function priceAt({ prices }: Model, inputTokens: number): ModelRates {
  const step = prices.findLast(({ aboveInputTokens }) => inputTokens > aboveInputTokens) ?? prices[0];
  return step.price;
}

/** True if two ids name one model, ignoring vendor and variant, e.g. `openai/gpt-4o:free` and `gpt-4o`. */
function isSameModel(id: string, answered: string): boolean {
  const nameOf = (text: string): string => fold(text).replace(/^.*\//, "").replace(/:.*$/, "");
  return nameOf(id) === nameOf(answered);
}

const VERSION = /^-(?:\d{4}-?\d{2}-?\d{2}|\d{2}-\d{2}(?:-\d{4})?|\d{3,4}|latest|preview|exp|v\d[\w.]*)(?:-|$)/;

/** True if the answer names a version of the model, e.g. `gpt-4o-2024-08-06` of `gpt-4o`. */
function isVersionOf(id: string, answered: string): boolean {
  const [name, version] = [fold(id), fold(answered)];
  return version.startsWith(name) && VERSION.test(version.slice(name.length));
}

function hasSamePrices(left: Model, right: Model): boolean {
  return textOfPrices(left.prices) === textOfPrices(right.prices);
}

/** Text that is equal for equal prices, whatever the order of their rates. Rates of 0 pico-USD for a request are left out. */
export function textOfPrices(prices: readonly PriceStep[]): string {
  return prices
    .map(({ aboveInputTokens, price: { inputPicoUsd, outputPicoUsd, ...others } }) => {
      const named = Object.entries(others).filter(
        ([name, rate]) => rate !== undefined && !(name === "requestPicoUsd" && rate === 0n),
      );
      const texts = named.map(([name, picoUsd]) => `${name}=${picoUsd}`).toSorted();
      return [aboveInputTokens, inputPicoUsd, outputPicoUsd, ...texts].join(" ");
    })
    .join("\n");
}
