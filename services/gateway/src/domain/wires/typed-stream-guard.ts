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
  readonly path: readonly (string | number)[];
  /** Name of the text that it is of. */
  readonly key: string;
  /** Name of the texts that are read as one, in the order in which they begin; undefined for a text that is read by itself. */
  readonly group?: string;
  /** True if the text is JSON, and must stay so. */
  readonly isJson?: boolean;
  /** True if the piece is all of its text. */
  readonly isWhole?: boolean;
  /** Event that brings more of the text. It repeats nothing of the event of the piece but types, ids and positions. */
  more(text: string): JsonObject & { readonly type: string };
}

/** Pieces of the texts of a stream whose events have a `type`. */
export interface StreamPieces {
  /** Pieces that an event brings; none if its texts are complete. */
  piecesOf(event: JsonObject): readonly StreamPiece[];
  /** True if what is held of a text must leave before an event. @param isWaiting true if an event waits for this one */
  ends(event: JsonObject, key: string, isWaiting: boolean): boolean;
  /** True for an event that can wait for the next one while a text is open. */
  mayWait(event: JsonObject): boolean;
  /** True for an event that leaves before one that waits. */
  mayOvertake(event: JsonObject): boolean;
}

/** Text of the answer that arrives in pieces. */
interface OpenText {
  /** Last piece of the text. */
  last: StreamPiece;
  readonly filter: TextFilter<GuardPattern> | undefined;
  /** Filter of the text by itself, before the other one, which has read the end of the text before this one; else undefined. */
  own: TextFilter<GuardPattern> | undefined;
  /** Text before this one, of which the filter has read the end, as it has left already. */
  left: string;
}

/** End of the text that was last open in a group. */
interface Tail {
  /** Text that could have become a match, as it was read. */
  readonly held: string;
  /** The same text as it has left. */
  readonly left: string;
}

/** Bound of the texts that are open at a time: each takes memory. */
const MAX_OPEN_TEXTS = 1_024;
/** Bound of all texts of one answer. */
const MAX_STREAM_TEXTS = 100_000;
/** Comment that replaces those by which upstreams keep a connection alive. */
const COMMENT = Buffer.from(":\n\n");

/**
 * Guard of a stream whose events have a `type`. Every event keeps its position; a text in pieces is redacted, or held back for a later
 * piece while it can be the start of a match. What is held leaves before the event that ends the text, or the stream: a match that
 * goes on in the next text of the group is redacted from there on, or blocked. If rules are enforced, only the name and the data of
 * an event leave, without its other fields or comments.
 */
export class TypedStreamGuard implements StreamGuard {
  readonly #responseGuard: ResponseGuard;
  readonly #content: ContentGuard;
  readonly #pieces: StreamPieces;
  readonly #texts = new Map<string, OpenText>();
  /** Text that was opened last, by group; its end once it has ended. */
  readonly #lastTexts = new Map<string, OpenText | Tail>();
  /** Matches of patterns in shadow mode, by group or, for a text without one, by its key. */
  readonly #shadowMatches = new Map<string, MatchRecorder<GuardPattern>>();
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
    const events: Buffer[] = [];
    for (const [key, text] of this.#texts) events.push(...eventsOf(text, this.#closeAtOnce(key, text)));
    events.push(...this.#takeWaiting());
    for (const name of this.#shadowMatches.keys()) this.#endShadow(name);
    return this.#unlessRefused(events);
  }

  async #pass(event: SseEvent): Promise<Buffer[]> {
    if (this.#refusal !== undefined) return [];
    const isEnforced = this.#responseGuard.rules !== undefined;
    const { raw, data, name } = event;
    if (data === undefined) return [isEnforced ? COMMENT : raw];
    const json = parseJsonOrUndefined(data);
    const isWaiting = this.#waiting.length > 0;
    const before = isObject(json) ? await this.#end((key) => this.#pieces.ends(json, key, isWaiting)) : [];
    const passed = isObject(json) ? await this.#passEvent(json, data) : await this.#passOther(data);
    if (passed === undefined) return [];
    // A name that is not the type could be any text.
    const type = isObject(json) && json["type"] === name ? name : undefined;
    const bytes = passed === data && !(isEnforced && !raw.equals(withData(data, type))) ? raw : withData(passed, type);
    if (isWaiting && (!isObject(json) || this.#pieces.mayOvertake(json)))
      return this.#unlessRefused([...before, bytes]);
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
    // Clients see one of two members of a name. The other would hide the text that a client joins.
    const written = (await this.#hasRepeatedMembers(event, data)) ? JSON.stringify(event) : data;
    const pieces = this.#pieces.piecesOf(event);
    if (pieces.length === 0) return this.#judged(await guardJson(this.#responseGuard, written));
    const found = new Map<StreamPiece, Pick<JsonText, "start" | "end">>();
    const byPath = new Map(pieces.map((piece) => [JSON.stringify(piece.path), piece]));
    const { places } = this.#content;
    const kindOf: typeof places.kindOf = (text, value, siblingOf) => {
      const piece = text.kind === "string" ? byPath.get(JSON.stringify(text.path())) : undefined;
      if (piece === undefined) return places.kindOf(text, value, siblingOf);
      found.set(piece, { start: text.start, end: text.end });
      return "exempt";
    };
    const judging = judgeContent({ ...this.#content, places: { ...places, kindOf } }, written, false);
    const { edits, blocked, isUninspectable } = judging instanceof Promise ? await judging : judging;
    if (blocked !== undefined) return this.#refuse(this.#refusalOf(blocked));
    const refusal = isUninspectable ? guardUninspectable(this.#responseGuard) : undefined;
    if (refusal !== undefined) return this.#refuse(refusal);
    const all = [...edits];
    for (const piece of pieces) {
      const place = found.get(piece);
      if (place === undefined) throw new Error("unreachable: the piece is in its event");
      const edit = await this.#passPiece(piece, written, place);
      if (this.#refusal !== undefined) return undefined;
      if (edit !== undefined) all.push(edit);
    }
    if (all.length === 0) return written;
    return applyEdits(
      written,
      all.toSorted((first, second) => first.start - second.start),
    );
  }

  /** Judges a piece of a text. @returns the edit of the piece; undefined if it may leave as it is, or the stream is refused */
  async #passPiece(
    piece: StreamPiece,
    data: string,
    { start, end }: Pick<JsonText, "start" | "end">,
  ): Promise<Edit | undefined> {
    const text = await this.#textOf(piece);
    if (text === undefined) {
      this.#refuse(this.#refusalOf({ reason: "too_much_work" }));
      return undefined;
    }
    const value = JSON.parse(data.slice(start, end)) as string;
    await this.#recordShadow(piece, value);
    let passed = await this.#push(text, value);
    if (piece.isWhole === true) passed += await this.#close(piece.key, text);
    return passed === value ? undefined : { start, end, literal: JSON.stringify(passed) };
  }

  /** Reads more of a text. @returns what may leave now */
  async #push(text: OpenText, value: string): Promise<string> {
    const { own, filter } = text;
    if (filter === undefined) return value;
    const passed = withoutLeft(text, await filter.push(own === undefined ? value : await own.push(value)));
    const blocked = own?.blocked ?? filter.blocked;
    if (blocked !== undefined) this.#refuse(this.#refusalOf(blocked));
    return passed;
  }

  /** Finds or opens a text; undefined if there are too many. */
  async #textOf(piece: StreamPiece): Promise<OpenText | undefined> {
    const { key, group, isJson = false } = piece;
    const known = this.#texts.get(key);
    if (known !== undefined) {
      known.last = piece;
      return known;
    }
    if (++this.#opened > MAX_STREAM_TEXTS || this.#texts.size >= MAX_OPEN_TEXTS) return undefined;
    const { rules, work } = this.#responseGuard;
    const filter = rules && new TextFilter(rules, work, isJson ? new JsonRedactionWriter(work) : undefined);
    const text: OpenText = { last: piece, filter, own: undefined, left: "" };
    this.#texts.set(key, text);
    if (group === undefined || rules === undefined || filter === undefined) return text;
    const { held, left } = this.#tailOf(group);
    this.#lastTexts.set(group, text);
    if (held === "") return text;
    // Its first word is one also if the text before ends in a part of a word.
    text.own = new TextFilter(rules, work);
    text.left = left;
    withoutLeft(text, await filter.push(held));
    return text;
  }

  #tailOf(group: string): Tail {
    const last = this.#lastTexts.get(group) ?? { held: "", left: "" };
    if ("held" in last) return last;
    const held = (last.filter?.held ?? "") + (last.own?.held ?? "");
    return { held, left: held };
  }

  /** Ends texts. @returns events with the held part of each */
  async #end(isEnded: (key: string) => boolean): Promise<Buffer[]> {
    const events: Buffer[] = [];
    for (const [key, text] of this.#texts) {
      if (isEnded(key)) events.push(...eventsOf(text, await this.#close(key, text)));
    }
    return events;
  }

  /** Ends a text. @returns the held part of it that may leave */
  async #close(key: string, text: OpenText): Promise<string> {
    const { own, filter } = text;
    const rest = own === undefined || filter === undefined ? "" : await filter.push(this.#endFilter(own));
    return withoutLeft(text, rest) + this.#closeJoined(key, text);
  }

  /** Ends a text without waiting. What could go on in a match that began in the text before it is lost. */
  #closeAtOnce(key: string, text: OpenText): string {
    const isAlone = text.filter?.held === "";
    const rest = this.#closeJoined(key, text);
    return text.own !== undefined && isAlone ? rest + this.#endFilter(text.own) : rest;
  }

  #closeJoined(key: string, text: OpenText): string {
    const { filter, last } = text;
    this.#texts.delete(key);
    if (last.group === undefined) this.#endShadow(key);
    if (filter === undefined) return "";
    const { held } = filter;
    const left = this.#endFilter(filter);
    if (last.group !== undefined && this.#lastTexts.get(last.group) === text) {
      this.#lastTexts.set(last.group, { held, left });
    }
    return withoutLeft(text, left);
  }

  #endFilter(filter: TextFilter<GuardPattern>): string {
    const rest = this.#refusal === undefined ? filter.end() : "";
    if (filter.blocked !== undefined) this.#refusal ??= this.#refusalOf(filter.blocked);
    this.#responseGuard.decisions.addRedactions("response", filter.redactions);
    return rest;
  }

  async #recordShadow({ key, group }: StreamPiece, value: string): Promise<void> {
    const { shadowRules, shadowWork } = this.#responseGuard;
    if (shadowRules === undefined) return;
    const name = group ?? key;
    const matches = this.#shadowMatches.get(name) ?? new MatchRecorder(shadowRules, shadowWork);
    this.#shadowMatches.set(name, matches);
    await matches.push(value);
  }

  #endShadow(name: string): void {
    const matches = this.#shadowMatches.get(name);
    this.#shadowMatches.delete(name);
    matches?.end();
    for (const { bindingId } of matches?.matched ?? []) {
      this.#responseGuard.decisions.addShadowViolation(bindingId, CONTENT_RULE);
    }
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

/** Event that brings the rest of a text; none if nothing is left. */
function eventsOf({ last }: OpenText, rest: string): Buffer[] {
  if (rest === "") return [];
  const event = last.more(rest);
  return [formatNamedSse(event.type, JSON.stringify(event))];
}

/** Takes from text that leaves what has left already, up to where a match begins that reaches beyond it. */
function withoutLeft(text: OpenText, passed: string): string {
  const length = commonLength(text.left, passed);
  text.left = length === passed.length ? text.left.slice(length) : "";
  return passed.slice(length);
}

/** Length of the beginning that two texts have in common. */
function commonLength(first: string, second: string): number {
  let length = 0;
  while (length < first.length && first[length] === second[length]) length++;
  return length;
}
