import { type BlockReason, JsonRedactionWriter, MatchRecorder, REDACTED, TextFilter } from "@routeplane/guardrails";
import { isObject, type JsonObject, parseJsonOrUndefined } from "../wire/json.ts";
import { type ContentGuard, judgeMedia, judgeText, valueOf } from "./content-guard.ts";
import {
  isArguments,
  isPartOfMessage,
  isPieceOfText,
  isReasoningPiece,
  isToolName,
  LOGPROBS,
  responseContentOf,
} from "./content-kinds.ts";
import { CONTENT_RULE, type GuardPattern } from "./guard.ts";
import { blockResponse } from "./guardrail-refusals.ts";
import { applyEdits, type Edit, type JsonText, jsonTexts } from "../wire/json-texts.ts";
import type { Refusal } from "../errors/refusal.ts";
import { contentGuardOf, guardJson, guardUninspectable, type ResponseGuard, walkingWork } from "./response-guard.ts";
import { formatSse, type SseEvent } from "../wire/sse.ts";
import {
  chunkWith,
  countMembers,
  hasOtherFields,
  indexOf,
  ownSteps,
  type Path,
  type TextPlace,
  withData,
  withListOfChoices,
} from "./stream-chunk.ts";
import { isFinished } from "../metering/stream-meter.ts";

/** One text of the answer that comes in pieces, e.g. the content of a choice, or the arguments of its second tool call. */
interface Channel extends TextPlace {
  /** Path of the last piece of the text. */
  path: Path;
  readonly filter: TextFilter<GuardPattern> | undefined;
  readonly watch: MatchRecorder<GuardPattern> | undefined;
  ended: boolean;
}

/** A chunk while it is judged. */
interface Passing {
  readonly chunk: JsonObject;
  readonly data: string;
  readonly edits: Edit[];
  /** Index of the edit of each text that the chunk has a piece of. */
  readonly touched: Map<Channel, number>;
}

/** Texts of one answer at most: each takes memory. */
const MAX_CHANNELS = 1_024;
/** Stands in the place of a comment, which upstreams send to keep a connection alive. */
const COMMENT = Buffer.from(":\n\n");

/**
 * Judges a stream of chat completion chunks while it passes. Every chunk keeps its place and its ids; only texts in it become
 * shorter, or appear later, where a match may still come of them. What is held back of a choice leaves before the chunk that
 * finishes it, and the rest before the end of the stream. Text of a choice behind that chunk is dropped, and of more choices than
 * were asked for. Where rules are enforced, nothing but the data of an event leaves: clients of the API need neither its other
 * fields nor comments.
 */
export class StreamGuard {
  readonly #responseGuard: ResponseGuard;
  readonly #content: ContentGuard;
  readonly #choices: number;
  readonly #channels = new Map<string, Channel>();
  /** Names of tools so far, as clients that put their pieces together read them. */
  readonly #names = new Map<string, MatchRecorder<GuardPattern>>();
  /** Indices of choices, as many as were asked for at most. */
  readonly #known = new Set<number>();
  readonly #finished = new Set<number>();
  /** The last chunk: what is flushed looks like it. */
  #last: JsonObject = {};
  #refusal: Refusal | undefined;
  /** True once the upstream has said that the stream is over. */
  #isDone = false;
  /** Set while an event is judged, and for good once that failed: then it is not known what of it was judged. */
  #isPassing = false;

  /** @param choices number of choices that were asked for */
  constructor(responseGuard: ResponseGuard, choices: number) {
    this.#responseGuard = responseGuard;
    this.#content = contentGuardOf(responseGuard);
    this.#choices = choices;
  }

  /** Why nothing leaves any more. */
  get refusal(): Refusal | undefined {
    return this.#refusal;
  }

  /**
   * Judges an event.
   *
   * @returns what may leave of the event, and before it; nothing once it is refused
   * @throws the reason of the request's signal; nothing leaves any more after that
   */
  async pass(event: SseEvent): Promise<Buffer[]> {
    this.#isPassing = true;
    const passed = await this.#pass(event);
    this.#isPassing = false;
    return passed;
  }

  async #pass({ raw, data }: SseEvent): Promise<Buffer[]> {
    if (this.#refusal !== undefined) return [];
    const isEnforced = this.#responseGuard.rules !== undefined;
    if (isEnforced && this.#isDone) return [];
    if (data === undefined) return [isEnforced ? COMMENT : raw];
    const mustStrip = isEnforced && hasOtherFields(raw);
    if (data.trim() === "[DONE]") {
      this.#isDone = true;
      return this.#unlessRefused(this.#flush(), mustStrip ? formatSse("[DONE]") : raw);
    }
    const parsed = parseJsonOrUndefined(data);
    const [chunk, written] = isEnforced ? withListOfChoices(parsed, data) : [parsed, data];
    const passed =
      isObject(chunk) && Array.isArray(chunk["choices"])
        ? await this.#passChunk(chunk, written)
        : await this.#passOther(data);
    if (passed === undefined) return [];
    const isSame = passed.data === data && !mustStrip;
    return this.#unlessRefused(passed.before, isSame ? raw : withData(passed.data));
  }

  /** The stream is over, or broke off. @returns what was held back and may leave */
  flush(): Buffer[] {
    return this.#isPassing ? [] : this.#flush();
  }

  #flush(): Buffer[] {
    const rest = this.#end([...this.#channels.values()]);
    return this.#refusal === undefined ? rest : [];
  }

  #unlessRefused(before: readonly Buffer[], event: Buffer): Buffer[] {
    return this.#refusal === undefined ? [...before, event] : [];
  }

  async #passChunk(chunk: JsonObject, written: string): Promise<Passed | undefined> {
    const asWritten = await this.#textsOf(written);
    // Of members that are given twice a client sees one, and the others would hide what it puts together.
    const isPlain = asWritten.filter(({ kind }) => kind === "name").length === countMembers(chunk);
    const data = isPlain ? written : JSON.stringify(chunk);
    const texts = isPlain ? asWritten : await this.#textsOf(data);
    const passing: Passing = { chunk, data, edits: [], touched: new Map() };
    for (const text of texts) {
      const refusal = await this.#passText(passing, text);
      if (refusal === undefined) continue;
      this.#refusal = refusal;
      return undefined;
    }
    const { edits, touched } = passing;
    this.#last = edits.length === 0 ? chunk : (JSON.parse(applyEdits(data, edits)) as JsonObject);
    const before = this.#endFinished(chunk, touched, edits);
    return { before, data: edits.length === 0 ? data : applyEdits(data, edits) };
  }

  /** Texts of a chunk, without those within members that are judged as a whole. */
  async #textsOf(data: string): Promise<readonly FoundText[]> {
    const texts: FoundText[] = [];
    for await (const text of jsonTexts(data, walkingWork(this.#responseGuard), LOGPROBS)) {
      texts.push({ ...text, steps: text.kind === "string" ? text.path() : [] });
    }
    return texts;
  }

  /** @returns why nothing may leave any more */
  async #passText(passing: Passing, text: FoundText): Promise<Refusal | undefined> {
    const { data, edits } = passing;
    const { kind, start, end, place } = text;
    if (kind === "whole") {
      if (this.#responseGuard.rules !== undefined) edits.push({ start, end, literal: "null" });
      return undefined;
    }
    const value = (): string => valueOf(text, data);
    const content = responseContentOf(text, value);
    if (content === "exempt") return undefined;
    if (content === "text" && isPieceOfText(text)) return this.#passPiece(passing, text);
    const judged = await (content === "media" ? judgeMedia : judgeText)(this.#content, text, value());
    if (judged.blocked !== undefined) return this.#refusalOf(judged.blocked);
    edits.push(...judged.edits);
    if (judged.isUninspectable) return guardUninspectable(this.#responseGuard);
    return isToolName(place) && judged.edits.length === 0 ? this.#passName(passing, text, value()) : undefined;
  }

  /** Judges a piece of the name of a tool together with those before it, which have left. */
  async #passName(
    { chunk, edits }: Passing,
    { steps, start, end }: FoundText,
    piece: string,
  ): Promise<Refusal | undefined> {
    const { rules, work, decisions } = this.#responseGuard;
    if (rules === undefined) return undefined;
    const key = JSON.stringify(ownSteps(chunk, steps));
    if (this.#names.size >= MAX_CHANNELS) return this.#refusalOf({ reason: "too_much_work" });
    const name = this.#names.get(key) ?? new MatchRecorder(rules, work);
    this.#names.set(key, name);
    await name.push(piece);
    const matched = [...name.matched];
    const blocking = matched.find(({ action }) => action === "block");
    if (blocking !== undefined) return this.#refusalOf({ reason: "match", pattern: blocking });
    if (matched.length === 0) return undefined;
    this.#names.delete(key);
    edits.push({ start, end, literal: JSON.stringify(REDACTED) });
    decisions.redacted(
      "response",
      matched.map((pattern) => ({ pattern, count: 1 })),
    );
    return undefined;
  }

  /** Always makes an edit, so that what a finished choice has left can be added to it. */
  async #passPiece({ chunk, data, edits, touched }: Passing, text: FoundText): Promise<Refusal | undefined> {
    const { start, end } = text;
    const channel = this.#channelOf(chunk, text);
    if (channel === undefined) return this.#refusalOf({ reason: "too_much_work" });
    const literal = data.slice(start, end);
    const piece = JSON.parse(literal) as string;
    const { filter } = channel;
    if (filter !== undefined && !this.#isUnderWay(channel.choice)) {
      if (piece !== "") edits.push({ start, end, literal: '""' });
      return undefined;
    }
    await channel.watch?.push(piece);
    if (filter === undefined) return undefined;
    const passed = await filter.push(piece);
    if (filter.blocked !== undefined) return this.#refusalOf(filter.blocked);
    touched.set(channel, edits.length);
    edits.push({ start, end, literal: passed === piece ? literal : JSON.stringify(passed) });
    return undefined;
  }

  /** Choices that this chunk finishes: the rest of their texts goes into the chunk itself, or before it. */
  #endFinished(chunk: JsonObject, touched: ReadonlyMap<Channel, number>, edits: Edit[]): Buffer[] {
    const finished = new Set(
      (chunk["choices"] as readonly unknown[]).flatMap((choice, at) =>
        isFinished(choice) ? [indexOf(choice, at)] : [],
      ),
    );
    for (const choice of finished) this.#finished.add(choice);
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

  #refusalOf(blocked: BlockReason<GuardPattern>): Refusal {
    const { guard, decisions } = this.#responseGuard;
    return blockResponse(guard, decisions, blocked);
  }

  /** @returns undefined if there are too many */
  #channelOf(chunk: JsonObject, text: FoundText): Channel | undefined {
    const [, choice = 0, ...path] = ownSteps(chunk, text.steps);
    // Clients append the parts of a content as they come, whatever their places in the lists.
    const appended = isPartOfMessage(text) ? [path[0], "content"] : isReasoningPiece(text) ? [text.place] : path;
    const key = JSON.stringify([choice, appended]);
    const known = this.#channels.get(key);
    if (known !== undefined && !(known.ended && known.filter === undefined)) {
      known.path = path;
      return known;
    }
    if (this.#channels.size >= MAX_CHANNELS) return undefined;
    const { rules, watched, work, shadowWork } = this.#responseGuard;
    const channel = {
      choice: Number(choice),
      path,
      filter: rules && new TextFilter(rules, work, isArguments(text) ? new JsonRedactionWriter(work) : undefined),
      watch: watched && new MatchRecorder(watched, shadowWork),
      ended: false,
    };
    this.#channels.set(key, channel);
    return channel;
  }

  /** False for one that is finished, and for more than were asked for: some clients read the first choice of every chunk. */
  #isUnderWay(choice: number): boolean {
    if (this.#known.size < this.#choices) this.#known.add(choice);
    return this.#known.has(choice) && !this.#finished.has(choice);
  }

  /** What is no chunk of a completion, e.g. an error of the upstream. */
  async #passOther(data: string) {
    const json = parseJsonOrUndefined(data) === undefined ? JSON.stringify(data) : data;
    const passed = await guardJson(this.#responseGuard, json);
    if (typeof passed !== "string") {
      this.#refusal = passed;
      return undefined;
    }
    return { before: [], data: json === data ? passed : (JSON.parse(passed) as string) };
  }
}

interface Passed {
  readonly before: readonly Buffer[];
  readonly data: string;
}

interface FoundText extends JsonText {
  /** Its path, of a string. */
  readonly steps: Path;
}
