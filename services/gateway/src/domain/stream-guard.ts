import { type Blocked, TextFilter, TextWatch } from "@routeplane/guardrails";
import { isObject } from "./chat-request.ts";
import { isPieceOfText, isResponseContent, LOGPROBS } from "./content-places.ts";
import type { GuardPattern } from "./guard.ts";
import { CONTENT_RULE, blockResponse } from "./guardrail-refusals.ts";
import { applyEdits, type Edit, type JsonText, jsonTexts } from "./json-texts.ts";
import type { Refusal } from "./refusal.ts";
import { guardJson, guardWhole, type ResponseGuard, walkingWork } from "./response-guard.ts";
import { formatSse, type SseEvent } from "./sse.ts";

type JsonObject = Record<string, unknown>;
type Path = readonly (string | number)[];

/** One text of the answer that comes in pieces, e.g. the content of a choice, or the arguments of its second tool call. */
interface Channel {
  /** The choice, by its own index. */
  readonly choice: number;
  /** Within the delta, with the tool calls' own indices. */
  readonly path: Path;
  readonly filter: TextFilter<GuardPattern> | undefined;
  readonly watch: TextWatch<GuardPattern> | undefined;
  ended: boolean;
}

/**
 * Judges a stream of chat completion chunks while it passes. Every chunk keeps its place, its ids and its framing; only texts
 * in it become shorter, or appear later, where a match may still come of them. What is held back of a choice leaves before the
 * chunk that finishes it, and the rest before the end of the stream.
 */
export class StreamGuard {
  readonly #responseGuard: ResponseGuard;
  readonly #channels = new Map<string, Channel>();
  /** The last chunk: what is flushed looks like it. */
  #last: JsonObject = {};
  #refusal: Refusal | undefined;

  constructor(responseGuard: ResponseGuard) {
    this.#responseGuard = responseGuard;
  }

  /** Why nothing leaves any more. */
  get refusal(): Refusal | undefined {
    return this.#refusal;
  }

  /** @returns what may leave of the event, and before it; nothing once it is refused */
  async pass({ raw, data }: SseEvent): Promise<Buffer[]> {
    if (this.#refusal !== undefined) return [];
    if (data === undefined) return [raw];
    if (data.trim() === "[DONE]") return this.#unlessRefused(this.flush(), raw);
    const chunk = parse(data);
    const passed =
      isObject(chunk) && Array.isArray(chunk["choices"])
        ? await this.#passChunk(chunk, data)
        : await this.#passOther(data);
    if (passed === undefined) return [];
    return this.#unlessRefused(passed.before, passed.data === data ? raw : withData(raw, passed.data));
  }

  /** The stream is over, or broke off. @returns what was held back and may leave */
  flush(): Buffer[] {
    const rest = this.#end([...this.#channels.values()]);
    return this.#refusal === undefined ? rest : [];
  }

  #unlessRefused(before: readonly Buffer[], event: Buffer): Buffer[] {
    return this.#refusal === undefined ? [...before, event] : [];
  }

  async #passChunk(chunk: JsonObject, data: string) {
    this.#last = chunk;
    const edits: Edit[] = [];
    const touched = new Map<Channel, number>();
    for await (const text of jsonTexts(data, walkingWork(this.#responseGuard), LOGPROBS)) {
      if (!isResponseContent(text.place)) continue;
      const isPiece = text.isString && isPieceOfText(text.place);
      const edit = isPiece
        ? await this.#passPiece(chunk, text, data, touched, edits.length)
        : await guardWhole(this.#responseGuard, text, data);
      if (edit !== undefined && !("literal" in edit)) {
        this.#refusal = edit;
        return undefined;
      }
      if (edit !== undefined) edits.push(edit);
    }
    const before = this.#endFinished(chunk, touched, edits);
    return { before, data: edits.length === 0 ? data : applyEdits(data, edits) };
  }

  /** @returns always an edit, so that what a finished choice has left can be added to it */
  async #passPiece(
    chunk: JsonObject,
    { path, start, end }: JsonText,
    data: string,
    touched: Map<Channel, number>,
    index: number,
  ): Promise<Edit | Refusal> {
    const channel = this.#channelOf(chunk, path());
    const literal = data.slice(start, end);
    const piece = JSON.parse(literal) as string;
    await channel.watch?.push(piece);
    const { filter } = channel;
    if (filter === undefined) return { start, end, literal };
    const passed = await filter.push(piece);
    if (filter.blocked !== undefined) return this.#refusalOf(filter.blocked);
    touched.set(channel, index);
    return { start, end, literal: passed === piece ? literal : JSON.stringify(passed) };
  }

  /** Choices that this chunk finishes: the rest of their texts goes into the chunk itself, or before it. */
  #endFinished(chunk: JsonObject, touched: ReadonlyMap<Channel, number>, edits: Edit[]): Buffer[] {
    const finished = new Set(
      (chunk["choices"] as readonly unknown[]).flatMap((choice, at) =>
        isObject(choice) && (choice["finish_reason"] ?? null) !== null ? [indexOf(choice, at)] : [],
      ),
    );
    const over = [...this.#channels.values()].filter(({ choice }) => finished.has(choice));
    for (const channel of over) {
      const at = touched.get(channel);
      const edit = at === undefined ? undefined : edits[at];
      if (at === undefined || edit === undefined) continue;
      const rest = this.#rest(channel);
      if (rest !== "") edits[at] = { ...edit, literal: JSON.stringify(`${JSON.parse(edit.literal) as string}${rest}`) };
    }
    return this.#end(over);
  }

  #end(channels: readonly Channel[]): Buffer[] {
    return channels.flatMap((channel) => {
      const rest = this.#rest(channel);
      return rest === "" ? [] : [formatSse(JSON.stringify(chunkWith(this.#last, channel, rest)))];
    });
  }

  /** Ends a text. */
  #rest(channel: Channel): string {
    if (channel.ended) return "";
    channel.ended = true;
    const { decisions } = this.#responseGuard;
    channel.watch?.end();
    for (const { bindingId } of channel.watch?.matched ?? []) decisions.noteShadow(bindingId, CONTENT_RULE);
    const { filter } = channel;
    if (filter === undefined) return "";
    const rest = this.#refusal === undefined ? filter.end() : "";
    if (filter.blocked !== undefined) this.#refusal ??= this.#refusalOf(filter.blocked);
    decisions.redacted("response", filter.redactions);
    return rest;
  }

  #refusalOf(blocked: Blocked<GuardPattern>): Refusal {
    const { guard, decisions } = this.#responseGuard;
    return blockResponse(guard, decisions, blocked);
  }

  #channelOf(chunk: JsonObject, path: Path): Channel {
    const [, choice = 0, , ...inDelta] = ownIndices(chunk, path);
    const key = JSON.stringify([choice, inDelta]);
    const known = this.#channels.get(key);
    if (known !== undefined && !known.ended) return known;
    const { rules, watched, work, shadowWork } = this.#responseGuard;
    const channel = {
      choice: Number(choice),
      path: inDelta,
      filter: rules && new TextFilter(rules, work),
      watch: watched && new TextWatch(watched, shadowWork),
      ended: false,
    };
    this.#channels.set(key, channel);
    return channel;
  }

  /** What is no chunk of a completion, e.g. an error of the upstream. */
  async #passOther(data: string) {
    const json = parse(data) === undefined ? JSON.stringify(data) : data;
    const passed = await guardJson(this.#responseGuard, json);
    if (typeof passed !== "string") {
      this.#refusal = passed;
      return undefined;
    }
    return { before: [], data: json === data ? passed : (JSON.parse(passed) as string) };
  }
}

/** Chunks repeat the `index` of a choice and of a tool call; where they stand in their array says nothing. */
function ownIndices(chunk: JsonObject, path: Path): Path {
  let value: unknown = chunk;
  return path.map((step) => {
    value = typeof value === "object" && value !== null ? (value as JsonObject)[step] : undefined;
    return typeof step === "number" ? indexOf(value, step) : step;
  });
}

function indexOf(element: unknown, position: number): number {
  const index = isObject(element) ? element["index"] : undefined;
  return typeof index === "number" ? index : position;
}

/** A chunk like another one, with nothing but this text. */
function chunkWith(last: JsonObject, { choice, path }: Channel, text: string): JsonObject {
  const { choices: _choices, usage: _usage, ...head } = last;
  const delta = path.reduceRight<unknown>((inner, step) => {
    if (typeof step === "string") return { [step]: inner };
    return [isObject(inner) ? Object.assign({ index: step }, inner) : inner];
  }, text);
  return { ...head, choices: [{ index: choice, delta, logprobs: null, finish_reason: null }] };
}

/** The event with other data, its other fields as they were. */
function withData(raw: Buffer, data: string): Buffer {
  const fields = raw
    .toString("utf8")
    .split(/\r\n|\n|\r/)
    .filter((line) => line !== "" && line !== "data" && !line.startsWith("data:"));
  const lines = [...fields, ...data.split("\n").map((line) => `data: ${line}`)];
  return Buffer.from(`${lines.join("\n")}\n\n`);
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}
