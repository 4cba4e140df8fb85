import {
  type JsonObject,
  parseExactly,
  type ProtocolWire,
  translateRequest,
  Untranslatable,
} from "@routeplane/protocols";
import { Refusal } from "../errors/refusal.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";
import { type UpstreamBody, UpstreamFault } from "../ports/upstream.ts";
import type { InferenceRequest } from "../request/inference-request.ts";
import { wiresOf } from "../request/model-fit.ts";
import type { Model } from "../request/model-directory.ts";
import type { AddedMember, UpstreamTarget } from "../request/upstream-body.ts";
import { MAX_REQUEST_VALUES, withPauses } from "../wire/json.ts";
import { outlineJson } from "../wire/json-outline.ts";
import { writeLargeJson } from "../wire/large-json.ts";
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
  /** Returns the body for an output bound; a promise of a large one, which is written with pauses. */
  readonly bodyFor: (outputTokensMax: number) => UpstreamBody | Promise<UpstreamBody>;
  /** Members that the client did not send, or not under that name, and that can be sent otherwise. */
  readonly added: readonly AddedMember[];
  /** Members of the client's body that are left out, because the client loses nothing by it. */
  readonly dropped: readonly string[];
}

/** Length from which a body is translated in several turns of the event loop: parsing and writing take 7 ms of CPU for each MiB. */
const LARGE_CHARS = 256 * 1024;

/** Request that is translated. */
export interface TranslatedCall extends Translation {
  readonly request: Pick<InferenceRequest, "text" | "streamed">;
  /** Output bound of the request; the one that is granted later is not higher. */
  readonly outputTokensMax: number;
  /** Stops the work on a large body once it is aborted. */
  readonly signal: CancelSignal;
}

/**
 * Translates a request to the wire of its upstream.
 *
 * @returns a promise for a large request
 * @throws Refusal 400 that names the first member which the upstream's wire cannot carry; the reason of the signal
 */
export function translateBody(call: TranslatedCall, target: UpstreamTarget): TranslatedBody | Promise<TranslatedBody> {
  const { text } = call.request;
  if (text.length <= LARGE_CHARS) return translateParsed(parseExactly(text) as JsonObject, call, target);
  const outline = withPauses(outlineJson(text, MAX_REQUEST_VALUES, parseExactly), call.signal);
  return outline.then(({ value }) => translateParsed(value as JsonObject, call, target));
}

function translateParsed(
  parsed: JsonObject,
  { request: { text, streamed }, client, upstream, outputTokensMax, signal }: TranslatedCall,
  target: UpstreamTarget,
): TranslatedBody {
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
    const bodyFor = (granted: number): UpstreamBody | Promise<UpstreamBody> => {
      const { body } = granted === outputTokensMax ? first : translate(granted);
      return text.length > LARGE_CHARS ? writeBody(body, signal) : JSON.stringify(body);
    };
    return { bodyFor, added: upstream === "chat" ? addedToChat(streamed, target) : [], dropped: first.dropped };
  } catch (error) {
    if (!(error instanceof Untranslatable)) throw error;
    throw new Refusal("not_translatable", `'${error.param}' ${error.message}`, { param: error.param });
  }
}

/** Writes a large body. @throws UpstreamFault if the request is cancelled meanwhile: nothing was sent */
async function writeBody(body: JsonObject, signal: CancelSignal): Promise<UpstreamBody> {
  try {
    return await writeLargeJson(body, signal);
  } catch (error) {
    throw new UpstreamFault("unreachable", "the request was cancelled before it was sent", error);
  }
}

/** Members of a chat that has been another request: the name of its output bound, and the wish for its usage. */
function addedToChat(streamed: boolean, { outputField, usageInStreams = "ask" }: UpstreamTarget): AddedMember[] {
  const bound = outputField === "max_output_tokens" ? "max_completion_tokens" : outputField;
  return streamed && usageInStreams === "ask" ? ["stream_options", bound] : [bound];
}
