import { type BlockReason, JsonRedactionWriter, MatchRecorder, REDACTED, TextFilter } from "@routeplane/guardrails";
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
import { type JsonText, jsonTexts, OTHER_PLACE } from "../wire/json-texts.ts";
import { formatNamedSse, type SseEvent } from "../wire/sse.ts";
import type { StreamGuard } from "./answer-format.ts";
import { countMembers, hasNoRepeatedMembers, withData } from "./event-data.ts";
import type { StreamPiece, StreamPieces } from "./stream-pieces.ts";
import { type Ahead, OpenText, readAhead, withoutBehind, withoutLeft } from "./stream-text.ts";
import { addToHead, StreamTextGroup, type Tail } from "./stream-text-group.ts";

/** Bound of the texts that are open at a time: each takes memory. */
const MAX_OPEN_TEXTS = 1_024;
/** Bound of all texts of one answer. */
const MAX_STREAM_TEXTS = 100_000;
/** Comment that replaces those by which upstreams keep a connection alive. */
const COMMENT = Buffer.from(":\n\n");

/**
 * Guard of a stream whose events have a `type`. Every event keeps its position; a text in pieces is redacted, or held back for a later
 * piece while it can be the start of a match. Held text leaves before the event that ends the text, or the stream. A match that continues
 * in the next text of the group is redacted from there on, or blocked; if the next text has begun already, up to there. If rules are
 * enforced, only the name and the data of an event leave, without its other fields or comments.
 */
export class TypedStreamGuard implements StreamGuard {
  readonly #responseGuard: ResponseGuard;
  readonly #content: ContentGuard;
  readonly #pieces: StreamPieces;
  readonly #texts = new Map<string, OpenText>();
  readonly #groups = new Map<string, StreamTextGroup>();
  /** Ends of texts that are read by themselves, by key: an upstream may go on after the event that ends one. */
  readonly #tails = new Map<string, Tail>();
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
    const { places } = this.#content;
    const pieceAt = pieceFinderOf(pieces);
    const kindOf: typeof places.kindOf = (text, value, siblingOf) => {
      const piece = text.kind === "string" ? pieceAt(text) : undefined;
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
    const text = this.#textOf(piece);
    if (text === undefined) {
      // A guardrail in shadow mode refuses nothing.
      if (this.#responseGuard.rules !== undefined) this.#refuse(this.#refusalOf({ reason: "too_much_work" }));
      return undefined;
    }
    const value = JSON.parse(data.slice(start, end)) as string;
    await this.#recordShadow(piece, value);
    let passed = await this.#push(text, value);
    if (text.grouped !== undefined) addToHead(text.grouped.member, passed);
    if (piece.isWhole === true) passed += await this.#close(piece.key, text);
    return passed === value ? undefined : { start, end, literal: JSON.stringify(passed) };
  }

  /** Reads more of a text. @returns what may leave now */
  async #push(text: OpenText, value: string): Promise<string> {
    if (value !== "") await this.#begin(text);
    const { own, filter } = text;
    if (filter === undefined) return value;
    const passed = withoutLeft(text, await filter.push(own === undefined ? value : await own.push(value)));
    const blocked = own?.blocked ?? filter.blocked;
    if (blocked !== undefined) this.#refuse(this.#refusalOf(blocked));
    return passed;
  }

  /** Finds or opens a text; undefined if there are too many, or the piece is before others of the text that have left. */
  #textOf(piece: StreamPiece): OpenText | undefined {
    const { key, group: place, isJson = false } = piece;
    const known = this.#texts.get(key);
    if (known !== undefined) {
      if (place !== undefined && place.position < (known.last.group?.position ?? 0)) return undefined;
      known.last = piece;
      return known;
    }
    if (++this.#opened > MAX_STREAM_TEXTS || this.#texts.size >= MAX_OPEN_TEXTS) return undefined;
    const { rules, work } = this.#responseGuard;
    const filter = rules && new TextFilter(rules, work, isJson ? new JsonRedactionWriter(work) : undefined);
    const text = new OpenText(piece, filter);
    this.#texts.set(key, text);
    if (place === undefined || filter === undefined) return text;
    const group = this.#groups.get(place.name) ?? new StreamTextGroup();
    this.#groups.set(place.name, group);
    text.grouped = { group, member: group.add(place.position, text) };
    return text;
  }

  /** Begins a text with the end of the one before it, which has left. */
  async #begin(text: OpenText): Promise<void> {
    if (text.hasBegun) return;
    text.hasBegun = true;
    const { rules, work } = this.#responseGuard;
    const { grouped, filter, last } = text;
    const tail = grouped === undefined ? this.#tails.get(last.key) : grouped.group.tailBefore(grouped.member);
    if (tail === undefined || tail.held === "" || rules === undefined || filter === undefined) return;
    // Its first word is one also if the text before ends in a part of a word.
    text.own = new TextFilter(rules, work, last.isJson === true ? new JsonRedactionWriter(work) : undefined);
    text.left = tail.left;
    withoutLeft(text, await filter.push(tail.held));
  }

  /** Ends texts, later ones first, so that the text after each one is known. @returns events with the held part of each, in order */
  async #end(isEnded: (key: string) => boolean): Promise<Buffer[]> {
    const ended = [...this.#texts].filter(([key]) => isEnded(key));
    const events: Buffer[][] = [];
    for (const [key, text] of ended.toReversed()) events.push(eventsOf(text, await this.#close(key, text)));
    return events.toReversed().flat();
  }

  /** Ends a text. @returns the held part of it that may leave */
  async #close(key: string, text: OpenText): Promise<string> {
    await this.#begin(text);
    const { own, filter, grouped } = text;
    const rest = own === undefined || filter === undefined ? "" : await filter.push(this.#endFilter(own));
    const passed = withoutLeft(text, rest);
    const behind = grouped?.group.behind(grouped.member);
    const ahead = filter === undefined || behind === undefined ? undefined : await readAhead(filter, behind);
    return passed + this.#closeJoined(key, text, passed, ahead);
  }

  /**
   * Ends a text without waiting. Text that could continue a match of the text before it is dropped. Text whose match could continue in a
   * text after it that has begun is redacted.
   */
  #closeAtOnce(key: string, text: OpenText): string {
    const { filter, own, grouped, held } = text;
    const isAlone = filter?.held === "";
    const behind = grouped?.group.behind(grouped.member);
    const rest = this.#closeJoined(key, text, "");
    const passed = own !== undefined && isAlone ? rest + this.#endFilter(own) : rest;
    return held !== "" && behind !== undefined && (behind.head !== "" || behind.goesOn) ? REDACTED : passed;
  }

  /**
   * Ends what is left of a text.
   *
   * @param before text of the end that leaves already
   * @param ahead what was read after the text; undefined if nothing was
   */
  #closeJoined(key: string, text: OpenText, before: string, ahead?: Ahead): string {
    const { filter, last, grouped } = text;
    this.#texts.delete(key);
    if (last.group === undefined) this.#endShadow(key);
    if (filter === undefined) return "";
    const { held } = ahead ?? filter;
    const rest = this.#endFilter(filter);
    const left = ahead === undefined ? rest : withoutBehind(ahead, rest);
    const passed = withoutLeft(text, left);
    if (grouped === undefined) {
      this.#keepTail(key, { held, left });
      return passed;
    }
    addToHead(grouped.member, before + passed);
    grouped.group.close(grouped.member, { held, left });
    return passed;
  }

  /** Keeps the end of a text that is read by itself, where a match could go on. */
  #keepTail(key: string, tail: Tail): void {
    this.#tails.delete(key);
    if (tail.held !== "") this.#tails.set(key, tail);
    const [oldest] = this.#tails.keys();
    if (this.#tails.size > MAX_OPEN_TEXTS && oldest !== undefined) this.#tails.delete(oldest);
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
    const name = group?.name ?? key;
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
    if (hasNoRepeatedMembers(data, event)) return false;
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

/** Creates a finder of the piece that a text is. An event can have any number of pieces; almost every one has a single piece. */
function pieceFinderOf(pieces: readonly StreamPiece[]): (text: JsonText) => StreamPiece | undefined {
  const [first] = pieces;
  if (first !== undefined && pieces.length === 1) return (text) => (isAt(text, first.path) ? first : undefined);
  const byPath = new Map(pieces.map((piece) => [JSON.stringify(piece.path), piece]));
  return (text) => byPath.get(JSON.stringify(text.path()));
}

/** True if a text is at a path, which almost none is: the last step of its place is compared first. */
function isAt(text: JsonText, path: readonly (string | number)[]): boolean {
  const last = path.at(-1);
  const { place } = text;
  if (typeof last === "string" && place !== OTHER_PLACE && !place.endsWith(last)) return false;
  const steps = text.path();
  return steps.length === path.length && steps.every((step, at) => step === path[at]);
}

/** Event that brings the rest of a text; none if nothing is left. */
function eventsOf({ last }: OpenText, rest: string): Buffer[] {
  if (rest === "") return [];
  const event = last.more(rest);
  return [formatNamedSse(event.type, JSON.stringify(event))];
}
