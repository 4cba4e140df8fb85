import { providerKeyMissing, Refusal } from "../errors/refusal.ts";
import { guardForModel, type GuardedRequest } from "../guardrails/request-guard.ts";
import type { ReservedHop } from "../metering/attempt-record.ts";
import type { TokenCounter } from "../ports/token-counter.ts";
import type { Upstream } from "../ports/upstream.ts";
import type { ProviderSet } from "../provider-set.ts";
import type { RequestContext } from "../request-context.ts";
import type { Model } from "../request/model-directory.ts";
import { requireBetas } from "../request/betas.ts";
import { requireFit } from "../request/model-fit.ts";
import { priceModel } from "../request/request-price.ts";
import type { LooseBounds } from "../request/token-bounds.ts";
import type { SendUpstream, UpstreamCalls } from "../request/upstream-calls.ts";
import type { Hop } from "./attempt-plan.ts";
import { hasOtherHops, type OrderedModel, orderHops } from "./hop-order.ts";
import type { UpstreamHealth } from "./upstream-health.ts";

/** Model that a request may go to, with everything about the request that depends on it. */
export interface RequestHop extends Hop, ReservedHop {
  readonly bounds: LooseBounds;
  readonly send: SendUpstream;
}

/** Request whose hops are prepared. */
export interface RoutedRequest {
  readonly context: RequestContext;
  readonly guarded: GuardedRequest;
  readonly providers: Pick<ProviderSet, "directory" | "upstreams">;
  readonly upstreamCalls: UpstreamCalls;
  readonly tokenCounter: TokenCounter;
  readonly health: UpstreamHealth;
}

/** Models that a request may go to. */
export interface RequestHops {
  /**
   * Model that the request is admitted for: the requested one or, while its provider lacks its key, the first one whose provider has a key.
   */
  readonly primary: RequestHop;
  /** All models in order, the primary one among them. */
  readonly all: readonly RequestHop[];
}

/**
 * Prepares a request for every model that it may go to. Each is judged, bounded and priced as if it had been requested; one that
 * does not fit the request, that a guardrail does not allow, or whose provider lacks its key, is left out.
 *
 * @param bounds bounds of the request to the requested model
 * @throws Refusal if the request cannot be sent to the requested model; 503 if that lacks its key and all others are left out
 */
export function prepareHops(routed: RoutedRequest, bounds: LooseBounds): RequestHops | Promise<RequestHops> {
  const { context, guarded, upstreamCalls } = routed;
  const { model, upstream, forwardedHeaders: headers, reply } = context;
  const send = upstreamCalls.prepare({ request: guarded.request, model, upstream, headers, signal: reply.signal });
  return send instanceof Promise
    ? send.then((prepared) => hopsWith(routed, bounds, prepared))
    : hopsWith(routed, bounds, send);
}

/** @param send sends the request to the requested model */
function hopsWith(routed: RoutedRequest, bounds: LooseBounds, send: SendUpstream): RequestHops | Promise<RequestHops> {
  const { context, health } = routed;
  const { model, billedModelFor } = context;
  const requested = {
    model,
    billedModelFor,
    bounds,
    send,
    health: health.of(model),
    retries: model.retries ?? 0,
    group: 0,
  };
  return hasOtherHops(model) ? prepareOthers(routed, requested) : { primary: requested, all: [requested] };
}

async function prepareOthers(routed: RoutedRequest, requested: RequestHop): Promise<RequestHops> {
  const { model } = requested;
  const all: RequestHop[] = [];
  for (const ordered of orderHops(routed.providers.directory, model)) {
    const isRequested = ordered.model.provider === model.provider && ordered.model.id === model.id;
    if (ordered.model.unavailable !== undefined) continue;
    const hop = isRequested ? { ...requested, group: ordered.group } : await prepareOther(routed, ordered);
    if (hop !== undefined) all.push(hop);
  }
  if (model.unavailable !== undefined) return withoutRequested(all, model.id, model.unavailable.variable);
  const own = all.find((hop) => hop.model === model);
  return own === undefined ? { primary: requested, all: [requested, ...all] } : { primary: own, all };
}

/** @throws Refusal 503 if no model is left that can be called in the place of the requested one */
function withoutRequested(all: readonly RequestHop[], id: string, variable: string): RequestHops {
  const [primary] = all;
  if (primary === undefined) throw providerKeyMissing(id, variable);
  return { primary, all };
}

/** @returns undefined if the model cannot serve the request, or must not */
async function prepareOther(
  routed: RoutedRequest,
  { model: other, group }: OrderedModel,
): Promise<RequestHop | undefined> {
  const { context, guarded, providers, upstreamCalls, tokenCounter, health } = routed;
  const { request } = guarded;
  try {
    const { model, billedModelFor } = priceModel(providers.directory, request, other, context.facts.createdAt);
    requireFit(request, model);
    requireBetas(context.forwardedHeaders, model);
    const upstream = upstreamOf(providers.upstreams, model);
    const bounds = await guardForModel({ ...context, model, upstream, tokenCounter }, request);
    const { forwardedHeaders: headers, reply } = context;
    const send = await upstreamCalls.prepare({ request, model, upstream, headers, signal: reply.signal });
    return { model, billedModelFor, bounds, send, health: health.of(model), retries: model.retries ?? 0, group };
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

export function upstreamOf(upstreams: ProviderSet["upstreams"], { provider }: Model): Upstream {
  const upstream = upstreams.get(provider);
  if (upstream === undefined) throw new Error(`the provider ${provider} has no upstream`);
  return upstream;
}
