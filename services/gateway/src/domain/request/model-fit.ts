/** Requests that a model is known not to serve: they are refused by name before anything is reserved for them. */
import type { Medium } from "../media/media.ts";
import { Refusal } from "../errors/refusal.ts";
import type { WireName } from "../wires/wire-name.ts";
import type { Capabilities, Model } from "./model-directory.ts";

/** Properties of a request that a model must be able to serve. */
export interface FittedRequest {
  /** Wire of its route. */
  readonly wire: { readonly name: WireName };
  readonly hasTools: boolean;
  readonly input: { readonly media: readonly Medium[] };
}

/** Wires of a model without a description: the chat API. */
const CHAT_ONLY: ReadonlySet<WireName> = new Set(["chat"]);

/** Wires that the upstream of a model speaks. */
export function wiresOf({ wires = CHAT_ONLY }: Pick<Model, "wires">): ReadonlySet<WireName> {
  return wires;
}

/** True if requests of this wire can be served by a model, translated or as they are. Embeddings are not translated. */
export function servesWire(model: Pick<Model, "wires">, wire: WireName): boolean {
  const wires = wiresOf(model);
  const makesEmbeddings = wires.has("embeddings");
  return wire === "embeddings" ? makesEmbeddings : !makesEmbeddings || wires.size > 1;
}

/** Names of the kinds of content in errors. What is of unknown kind passes: the model may take it. */
const CONTENT: Partial<
  Readonly<Record<Medium["kind"], { readonly capability: keyof Capabilities; readonly name: string }>>
> = {
  image: { capability: "images", name: "an image" },
  audio: { capability: "audio", name: "audio" },
  document: { capability: "documents", name: "a document" },
};

/** @throws Refusal 400 for a request that the model is known not to serve */
export function requireFit({ wire, hasTools, input }: FittedRequest, model: Model): void {
  const { id, capabilities } = model;
  if (!servesWire(model, wire.name)) {
    const message =
      wire.name === "embeddings"
        ? `The model \`${id}\` makes no embeddings: call it at /v1/chat/completions`
        : `The model \`${id}\` makes embeddings only: call it at /v1/embeddings`;
    throw new Refusal("model_not_for_route", message, { param: "model" });
  }
  if (capabilities === undefined) return;
  if (hasTools && capabilities.tools === false) throw notSupported("tools", "are given", id, "no tools");
  const param = wire.name === "responses" ? "input" : "messages";
  for (const { kind } of input.media) {
    const content = CONTENT[kind];
    if (content !== undefined && capabilities[content.capability] === false)
      throw notSupported(param, `has ${content.name}`, id, `no ${content.capability}`);
  }
}

function notSupported(param: string, given: string, model: string, lacking: string): Refusal {
  const message = `'${param}' ${given}, and the model \`${model}\` takes ${lacking}`;
  return new Refusal("not_supported_by_model", message, { param });
}
