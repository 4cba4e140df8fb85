import {
  type JsonObject,
  parseExactly,
  type ProtocolWire,
  translateRequest,
  Untranslatable,
} from "@routeplane/protocols";
import { Refusal } from "../errors/refusal.ts";
import type { UpstreamBody } from "../ports/upstream.ts";
import type { InferenceRequest } from "../request/inference-request.ts";
import { wiresOf } from "../request/model-fit.ts";
import type { Model } from "../request/model-directory.ts";
import type { AddedMember, UpstreamTarget } from "../request/upstream-body.ts";
import type { WireName } from "../wires/wire-name.ts";

/** Wires of upstreams in the order in which requests of another wire are translated to them. */
const PREFERRED: readonly ProtocolWire[] = ["chat", "messages", "responses"];

/** Translation of a request: the wires of its client and of its upstream. */
export interface Translation {
  readonly client: ProtocolWire;
  readonly upstream: ProtocolWire;
}

/** Finds the translation that a request to a model needs; undefined if its upstream speaks the client's wire. */
export function translationFor(client: WireName, model: Pick<Model, "wires">): Translation | undefined {
  const wires = wiresOf(model);
  const upstream = PREFERRED.find((wire) => wires.has(wire));
  if (client === "embeddings" || client === "count_tokens" || wires.has(client) || upstream === undefined)
    return undefined;
  return { client, upstream };
}

/** Request in the wire of its upstream. */
export interface TranslatedBody {
  /** Returns the body for an output bound. */
  readonly bodyFor: (outputTokensMax: number) => UpstreamBody;
  /** Members that the client did not send, or not under that name, and that can be sent otherwise. */
  readonly added: readonly AddedMember[];
  /** Members of the client's body that are left out, because the client loses nothing by it. */
  readonly dropped: readonly string[];
}

/**
 * Translates a request to the wire of its upstream.
 *
 * @param outputTokensMax output bound of the request; the one that is granted later is not higher
 * @throws Refusal 400 that names the first member which the upstream's wire cannot carry
 */
export function translateBody(
  { text, streamed }: Pick<InferenceRequest, "text" | "streamed">,
  { client, upstream }: Translation,
  target: UpstreamTarget,
  outputTokensMax: number,
): TranslatedBody {
  const parsed = parseExactly(text) as JsonObject;
  const { id, outputField, usageInStreams, capabilities } = target;
  const reasons = capabilities?.reasoning;
  const translate = (bound: number) =>
    translateRequest(client, upstream, parsed, {
      model: id,
      outputTokensMax: bound,
      asksForUsage: usageInStreams !== "never",
      ...(outputField !== "max_output_tokens" && { outputField }),
      ...(reasons !== undefined && { reasons }),
    });
  try {
    const first = translate(outputTokensMax);
    const bodyFor = (granted: number): string =>
      JSON.stringify((granted === outputTokensMax ? first : translate(granted)).body);
    return { bodyFor, added: upstream === "chat" ? addedToChat(streamed, target) : [], dropped: first.dropped };
  } catch (error) {
    if (!(error instanceof Untranslatable)) throw error;
    throw new Refusal("not_translatable", `'${error.param}' ${error.message}`, { param: error.param });
  }
}

/** Members of a chat that has been another request: the name of its output bound, and the wish for its usage. */
function addedToChat(streamed: boolean, { outputField, usageInStreams = "ask" }: UpstreamTarget): AddedMember[] {
  const bound = outputField === "max_output_tokens" ? "max_completion_tokens" : outputField;
  return streamed && usageInStreams === "ask" ? ["stream_options", bound] : [bound];
}
