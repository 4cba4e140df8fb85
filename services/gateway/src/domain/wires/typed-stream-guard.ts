import { type BlockReason, JsonRedactionWriter, MatchRecorder, TextFilter } from "@routeplane/guardrails";
import type { Refusal } from "../errors/refusal.ts";
import { type ContentGuard, judgeContent } from "../guardrails/content-guard.ts";
import { CONTENT_RULE, type GuardPattern } from "../guardrails/guard.ts";
import { blockResponse } from "../guardrails/guardrail-refusals.ts";
import {
  contentGuardOf,
  guardJson,
  guardUninspectable,
  type ResponseGuard,
  scanWork,
} from "../guardrails/response-guard.ts";
import { isObject, type JsonObject, parseJsonOrUndefined } from "../wire/json.ts";
import { applyEdits, type Edit } from "../wire/json-edits.ts";
import { type JsonText, jsonTexts } from "../wire/json-texts.ts";
import { formatNamedSse, type SseEvent } from "../wire/sse.ts";
import type { StreamGuard } from "./answer-format.ts";
import { countMembers, withData } from "./event-data.ts";

/** Piece of a text that goes on in other events. */
export interface StreamPiece {
  /** Path of the piece within its event. */
  readonly path: readonly string[];
  /** Name of the text that it is of. */
  readonly key: string;
  /** True if the text is JSON, and must stay so. */
  readonly isJson: boolean;
}

/** Pieces of the texts of a stream whose events have a `type`. */
export interface StreamPieces {
  /** Piece that an event brings; undefined if its texts are complete. */
  pieceOf(event: JsonObject): StreamPiece | undefined;
  /** True if a text ends before an event. */
  ends(event: JsonObject, key: string): boolean;
  /** True for an event that can wait for the next one while a text is open. */
  mayWait(event: JsonObject): boolean;
  /** Event that brings more of a text. @param last event with its last piece */
  eventWith(last: JsonObject, text: string): JsonObject & { readonly type: string };
}

/** Text of the answer that arrives in pieces. */
interface OpenText {
  /** Event with its last piece. */
  last: JsonObject;
  readonly filter: TextFilter<GuardPattern> | undefined;
  readonly shadowMatches: MatchRecorder<GuardPattern> | undefined;
}

/** Bound of the texts of one answer: each takes memory. */
const MAX_STREAM_TEXTS = 1_024;
/** Comment that replaces those by which upstreams keep a connection alive. */
const COMMENT = Buffer.from(":\n\n");

/**
 * Guard of a stream whose events have a `type`. Every event keeps its position; a text in pieces is redacted, or held back for a later
 * piece while it can be the start of a match. What is held leaves before the event that ends the text, or the stream. If rules are
 * enforced, only the name and the data of an event leave, without its other fields or comments.
 */
export class TypedStreamGuard implements StreamGuard {
  readonly #responseGuard: ResponseGuard;
  readonly #content: ContentGuard;
  readonly #pieces: StreamPieces;
  readonly #texts = new Map<string, OpenText>();
  #opened = 0;
  /** Event that waits for the next one. */
  #waiting: Buffer[] = [];
  #refusal: Refusal | undefined;
  /** True while an event is judged, and for good once that failed: nothing may leave of an event that was judged in part. */
  #isJudging = false;

  constructor(responseGuard: ResponseGuard, pieces: StreamPieces) {
    this.#responseGuard = responseGuard;
    this.#content = contentGuardOf(responseGuard);
    this.#pieces = pieces;
  }

  get refusal(): Refusal | undefined {
    return this.#refusal;
  }

  async pass(event: SseEvent): Promise<Buffer[]> {
    this.#isJudging = true;
    const passed = await this.#pass(event);
    this.#isJudging = false;
    return passed;
  }

  flush(): Buffer[] {
    if (this.#isJudging) return [];
    return this.#unlessRefused([...this.#end(() => true), ...this.#takeWaiting()]);
  }

  async #pass(event: SseEvent): Promise<Buffer[]> {
    if (this.#refusal !== undefined) return [];
    const isEnforced = this.#responseGuard.rules !== undefined;
    const { raw, data, name } = event;
    if (data === undefined) return [isEnforced ? COMMENT : raw];
    const json = parseJsonOrUndefined(data);
    const before = isObject(json) ? this.#end((key) => this.#pieces.ends(json, key)) : [];
    const passed = isObject(json) ? await this.#passEvent(json, data) : await this.#passOther(data);
    if (passed === undefined) return [];
    // A name that is not the type could be any text.
    const type = isObject(json) && json["type"] === name ? name : undefined;
    const bytes = passed === data && !(isEnforced && !raw.equals(withData(data, type))) ? raw : withData(passed, type);
    before.push(...this.#takeWaiting());
    if (isEnforced && isObject(json) && this.#texts.size > 0 && this.#pieces.mayWait(json)) this.#waiting = [bytes];
    else before.push(bytes);
    return this.#unlessRefused(before);
  }

  #unlessRefused(events: Buffer[]): Buffer[] {
    return this.#refusal === undefined ? events : [];
  }

  #takeWaiting(): Buffer[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }

  /** Judges an event. @returns its data as it may leave; undefined if the stream is refused */
  async #passEvent(event: JsonObject, data: string): Promise<string | undefined> {
    const piece = this.#pieces.pieceOf(event);
    if (piece === undefined) return this.#judged(await guardJson(this.#responseGuard, data));
    // Clients see one of two members of a name. The other would hide the text that a client joins.
    const written = (await this.#hasRepeatedMembers(event, data)) ? JSON.stringify(event) : data;
    let place: Pick<JsonText, "start" | "end"> | undefined;
    const { places } = this.#content;
    const kindOf: typeof places.kindOf = (text, value) => {
      if (text.kind !== "string" || !isAt(text, piece.path)) return places.kindOf(text, value);
      place = { start: text.start, end: text.end };
      return "exempt";
    };
    const judging = judgeContent({ ...this.#content, places: { ...places, kindOf } }, written, false);
    const { edits, blocked, isUninspectable } = judging instanceof Promise ? await judging : judging;
    if (blocked !== undefined) return this.#refuse(this.#refusalOf(blocked));
    const refusal = isUninspectable ? guardUninspectable(this.#responseGuard) : undefined;
    if (refusal !== undefined) return this.#refuse(refusal);
    if (place === undefined) throw new Error("unreachable: the piece is in its event");
    const edit = await this.#passPiece(event, piece, written, place);
    if (this.#refusal !== undefined) return undefined;
    const all = edit === undefined ? edits : [...edits, edit].toSorted((first, second) => first.start - second.start);
    return all.length === 0 ? written : applyEdits(written, all);
  }

  /** Judges a piece of a text. @returns the edit of the piece; undefined if it may leave as it is, or the stream is refused */
  async #passPiece(
    event: JsonObject,
    { key, isJson }: StreamPiece,
    data: string,
    { start, end }: Pick<JsonText, "start" | "end">,
  ): Promise<Edit | undefined> {
    const text = this.#textOf(key, isJson, event);
    if (text === undefined) {
      this.#refuse(this.#refusalOf({ reason: "too_much_work" }));
      return undefined;
    }
    const value = JSON.parse(data.slice(start, end)) as string;
    await text.shadowMatches?.push(value);
    if (text.filter === undefined) return undefined;
    const passed = await text.filter.push(value);
    if (text.filter.blocked !== undefined) this.#refuse(this.#refusalOf(text.filter.blocked));
    return passed === value ? undefined : { start, end, literal: JSON.stringify(passed) };
  }

  /** Finds or opens a text; undefined if there are too many. */
  #textOf(key: string, isJson: boolean, event: JsonObject): OpenText | undefined {
    const known = this.#texts.get(key);
    if (known !== undefined) {
      known.last = event;
      return known;
    }
    if (++this.#opened > MAX_STREAM_TEXTS) return undefined;
    const { rules, shadowRules, work, shadowWork } = this.#responseGuard;
    const text = {
      last: event,
      filter: rules && new TextFilter(rules, work, isJson ? new JsonRedactionWriter(work) : undefined),
      shadowMatches: shadowRules && new MatchRecorder(shadowRules, shadowWork),
    };
    this.#texts.set(key, text);
    return text;
  }

  /** Ends texts. @returns events with the held part of each */
  #end(isEnded: (key: string) => boolean): Buffer[] {
    const events: Buffer[] = [];
    for (const [key, text] of this.#texts) {
      if (!isEnded(key)) continue;
      this.#texts.delete(key);
      const rest = this.#rest(text);
      if (rest === "") continue;
      const event = this.#pieces.eventWith(text.last, rest);
      events.push(formatNamedSse(event.type, JSON.stringify(event)));
    }
    return events;
  }

  /** Ends a text. @returns the held part of it that may leave */
  #rest({ filter, shadowMatches }: OpenText): string {
    const { decisions } = this.#responseGuard;
    shadowMatches?.end();
    for (const { bindingId } of shadowMatches?.matched ?? []) decisions.addShadowViolation(bindingId, CONTENT_RULE);
    if (filter === undefined) return "";
    const rest = this.#refusal === undefined ? filter.end() : "";
    if (filter.blocked !== undefined) this.#refusal ??= this.#refusalOf(filter.blocked);
    decisions.addRedactions("response", filter.redactions);
    return rest;
  }

  async #hasRepeatedMembers(event: JsonObject, data: string): Promise<boolean> {
    const work = scanWork(this.#responseGuard);
    let names = 0;
    for (const text of jsonTexts(data, work)) {
      if (text === undefined) await work.pause();
      else if (text.kind === "name") names++;
    }
    return names !== countMembers(event);
  }

  /** Judges data that is no JSON object. */
  async #passOther(data: string): Promise<string | undefined> {
    const json = parseJsonOrUndefined(data) === undefined ? JSON.stringify(data) : data;
    const passed = this.#judged(await guardJson(this.#responseGuard, json));
    if (passed === undefined || json === data) return passed;
    return JSON.parse(passed) as string;
  }

  #judged(passed: string | Refusal): string | undefined {
    return typeof passed === "string" ? passed : this.#refuse(passed);
  }

  #refuse(refusal: Refusal): undefined {
    this.#refusal ??= refusal;
    return undefined;
  }

  #refusalOf(blocked: BlockReason<GuardPattern>): Refusal {
    const { guard, decisions } = this.#responseGuard;
    return blockResponse(guard, decisions, blocked);
  }
}

function isAt(text: JsonText, path: readonly string[]): boolean {
  const steps = text.path();
  return steps.length === path.length && steps.every((step, index) => step === path[index]);
}
