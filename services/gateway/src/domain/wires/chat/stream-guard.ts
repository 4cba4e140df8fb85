import { type BlockReason, MatchRecorder, REDACTED } from "@routeplane/guardrails";
import type { Refusal } from "../../errors/refusal.ts";
import { type ContentGuard, judgeMedia, judgeText, valueOf } from "../../guardrails/content-guard.ts";
import { CONTENT_RULE, type GuardPattern } from "../../guardrails/guard.ts";
import { blockResponse } from "../../guardrails/guardrail-refusals.ts";
import {
  contentGuardOf,
  guardJson,
  guardUninspectable,
  type ResponseGuard,
  scanWork,
} from "../../guardrails/response-guard.ts";
import { isObject, type JsonObject, parseJsonOrUndefined } from "../../wire/json.ts";
import { applyEdits, type Edit } from "../../wire/json-edits.ts";
import { jsonTexts } from "../../wire/json-texts.ts";
import { formatSse, type SseEvent } from "../../wire/sse.ts";
import type { StreamGuard } from "../answer-format.ts";
import type { ContentKind } from "../content-format.ts";
import { isPieceOfText, isToolName, LOGPROBS, responseContentKindOf } from "./chat-content.ts";
import { countMembers, withData } from "../event-data.ts";
import { isFinished } from "./finish-reason.ts";
import { OpenTexts } from "./open-texts.ts";
import { chunkWith, hasOtherFields, indexOf, ownSteps, withListOfChoices } from "./stream-chunk.ts";
import { type ChunkText, type StreamText, StreamTexts } from "./stream-texts.ts";

/** Chunk that is being judged. */
interface JudgedChunk {
  readonly chunk: JsonObject;
  readonly data: string;
  readonly edits: Edit[];
  /** Index of the edit of the last piece in the chunk, by text. */
  readonly editOf: Map<StreamText, number>;
  /** Chunks that leave before it. */
  readonly before: Buffer[];
}

/** Comment that replaces those by which upstreams keep a connection alive. */
const COMMENT = Buffer.from(":\n\n");

/**
 * Guard of a stream of chat completion chunks. Every chunk keeps its position and its ids; text in it is redacted, or held back
 * for a later chunk while it can be the start of a match. Held text of a choice leaves before the chunk that finishes it, all
 * other before the end of the stream. Text of a choice after that chunk is dropped, and of choices beyond the requested number.
 * If rules are enforced, only the data of an event leaves, without its other fields or comments.
 */
export class CompletionStreamGuard implements StreamGuard {
  readonly #responseGuard: ResponseGuard;
  readonly #content: ContentGuard;
  readonly #texts: StreamTexts;
  /** Names of tools so far, joined as some clients join them. */
  readonly #toolNames = new OpenTexts<MatchRecorder<GuardPattern>>();
  /** Last chunk, from which the chunks of flushed text are made. */
  #last: JsonObject = {};
  #refusal: Refusal | undefined;
  /** True once the upstream has sent the end of the stream. */
  #isDone = false;
  /** True while an event is judged, and for good once that failed: nothing may leave of an event that was judged in part. */
  #isJudging = false;

  /** @param choices number of requested choices */
  constructor(responseGuard: ResponseGuard, choices: number) {
    this.#responseGuard = responseGuard;
    this.#content = contentGuardOf(responseGuard);
    this.#texts = new StreamTexts(responseGuard, choices);
  }

  /** Refusal after which nothing leaves; undefined as long as the stream passes. */
  get refusal(): Refusal | undefined {
    return this.#refusal;
  }

  /**
   * Judges an event.
   *
   * @returns the bytes that may leave before the event and of it; none once the stream is refused
   * @throws the reason of the request's signal; nothing leaves after that
   */
  async pass(event: SseEvent): Promise<Buffer[]> {
    this.#isJudging = true;
    const passed = await this.#pass(event);
    this.#isJudging = false;
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

  /** Ends the stream, complete or not. @returns the held text that may leave */
  flush(): Buffer[] {
    return this.#isJudging ? [] : this.#flush();
  }

  #flush(): Buffer[] {
    const rest = this.#end(this.#texts.all);
    return this.#refusal === undefined ? rest : [];
  }

  #unlessRefused(before: readonly Buffer[], event: Buffer): Buffer[] {
    return this.#refusal === undefined ? [...before, event] : [];
  }

  async #passChunk(chunk: JsonObject, written: string): Promise<Passed | undefined> {
    const writtenTexts = await this.#textsOf(written);
    // Clients see one of two members of a name. The other would hide the text that a client joins.
    const isPlain = writtenTexts.filter(({ kind }) => kind === "name").length === countMembers(chunk, LOGPROBS);
    const data = isPlain ? written : JSON.stringify(chunk);
    const texts = isPlain ? writtenTexts : await this.#textsOf(data);
    const judged: JudgedChunk = { chunk, data, edits: [], editOf: new Map(), before: [] };
    for (const text of texts) {
      const value = (): string => valueOf(text, data);
      const content = text.kind === "whole" ? "text" : responseContentKindOf(text, value);
      // Most texts of a chunk are its ids, numbers and names: none of them waits.
      if (content === "exempt") continue;
      const refusal = await this.#passText(judged, text, content, value);
      if (refusal === undefined) continue;
      this.#refusal = refusal;
      return undefined;
    }
    const { edits } = judged;
    this.#last = changesNothing(edits, data) ? chunk : (JSON.parse(applyEdits(data, edits)) as JsonObject);
    this.#endFinished(judged);
    return { before: judged.before, data: changesNothing(edits, data) ? data : applyEdits(data, edits) };
  }

  /** Texts of a chunk, without those within members that are judged as a whole. */
  async #textsOf(data: string): Promise<readonly ChunkText[]> {
    const texts: ChunkText[] = [];
    const work = scanWork(this.#responseGuard);
    for (const text of jsonTexts(data, work, LOGPROBS)) {
      if (text === undefined) await work.pause();
      else texts.push({ ...text, steps: text.kind === "string" ? text.path() : [] });
    }
    return texts;
  }

  /** Judges one text of a chunk. @returns the refusal after which nothing may leave */
  async #passText(
    judgedChunk: JudgedChunk,
    text: ChunkText,
    content: Exclude<ContentKind, "exempt">,
    value: () => string,
  ): Promise<Refusal | undefined> {
    const { edits } = judgedChunk;
    const { kind, start, end, place } = text;
    if (kind === "whole") {
      if (this.#responseGuard.rules !== undefined) edits.push({ start, end, literal: "null" });
      return undefined;
    }
    if (content === "text" && isPieceOfText(text)) return this.#passPiece(judgedChunk, text);
    const judged = await (content === "media" ? judgeMedia : judgeText)(this.#content, text, value());
    if (judged.blocked !== undefined) return this.#refusalOf(judged.blocked);
    edits.push(...judged.edits);
    if (judged.isUninspectable) return guardUninspectable(this.#responseGuard);
    return isToolName(place) && judged.edits.length === 0 ? this.#passToolName(judgedChunk, text, value()) : undefined;
  }

  /** Judges a piece of the name of a tool together with those before it, which have left. */
  async #passToolName(
    { chunk, edits }: JudgedChunk,
    { steps, start, end }: ChunkText,
    piece: string,
  ): Promise<Refusal | undefined> {
    const { rules, work, decisions } = this.#responseGuard;
    if (rules === undefined) return undefined;
    const key = JSON.stringify(ownSteps(chunk, steps));
    const known = this.#toolNames.find(key);
    if (known === undefined && !this.#toolNames.mayBegin(key)) return this.#refusalOf({ reason: "too_much_work" });
    const name = known ?? new MatchRecorder(rules, work);
    if (known === undefined) this.#toolNames.begin(key, name);
    await name.push(piece);
    const matched = [...name.matched];
    const blocking = matched.find(({ action }) => action === "block");
    if (blocking !== undefined) return this.#refusalOf({ reason: "match", pattern: blocking });
    if (matched.length === 0) return undefined;
    this.#toolNames.delete(key);
    edits.push({ start, end, literal: JSON.stringify(REDACTED) });
    decisions.addRedactions(
      "response",
      matched.map((pattern) => ({ pattern, count: 1 })),
    );
    return undefined;
  }

  /** Judges a piece of a text. If rules are enforced it makes an edit, to which the rest of a finished choice can be added. */
  async #passPiece(judged: JudgedChunk, piece: ChunkText): Promise<Refusal | undefined> {
    const { chunk, data, edits, editOf } = judged;
    const { start, end } = piece;
    const found = this.#texts.textOf(chunk, piece);
    if (found === undefined) {
      // A guardrail in shadow mode refuses nothing.
      return this.#responseGuard.rules && this.#refusalOf({ reason: "too_much_work" });
    }
    const { text, ended } = found;
    if (ended !== undefined) this.#endIn(judged, ended);
    const literal = data.slice(start, end);
    const value = JSON.parse(literal) as string;
    const { filter } = text;
    if (filter !== undefined && !this.#texts.isOpen(text.choice)) {
      if (value !== "") edits.push({ start, end, literal: '""' });
      return undefined;
    }
    await text.shadowMatches?.push(value);
    if (filter === undefined) return undefined;
    const passed = await filter.push(value);
    if (filter.blocked !== undefined) return this.#refusalOf(filter.blocked);
    editOf.set(text, edits.length);
    edits.push({ start, end, literal: passed === value ? literal : JSON.stringify(passed) });
    return undefined;
  }

  /** Ends the texts of the choices that a chunk finishes. */
  #endFinished(judged: JudgedChunk): void {
    const finished = new Set(
      (judged.chunk["choices"] as readonly unknown[]).flatMap((choice, position) =>
        isFinished(choice) ? [indexOf(choice, position)] : [],
      ),
    );
    for (const text of this.#texts.finish(finished)) this.#endIn(judged, text);
  }

  /** Ends a text while a chunk is judged. What is held of it goes into its last piece in the chunk, or into a chunk before it. */
  #endIn({ editOf, edits, before }: JudgedChunk, text: StreamText): void {
    const index = editOf.get(text);
    const edit = index === undefined ? undefined : edits[index];
    if (index === undefined || edit === undefined) {
      before.push(...this.#end([text]));
      return;
    }
    const rest = this.#rest(text);
    if (rest !== "")
      edits[index] = { ...edit, literal: JSON.stringify(`${JSON.parse(edit.literal) as string}${rest}`) };
  }

  /** Ends texts. @returns chunks with the held part of each */
  #end(texts: readonly StreamText[]): Buffer[] {
    return texts.flatMap((text) => {
      const rest = this.#rest(text);
      return rest === "" ? [] : [formatSse(JSON.stringify(chunkWith(this.#last, text, rest)))];
    });
  }

  /** Ends a text, once. @returns the held part of it that may leave */
  #rest(text: StreamText): string {
    if (text.hasEnded) return "";
    text.hasEnded = true;
    const { decisions } = this.#responseGuard;
    text.shadowMatches?.end();
    for (const { bindingId } of text.shadowMatches?.matched ?? [])
      decisions.addShadowViolation(bindingId, CONTENT_RULE);
    const { filter } = text;
    if (filter === undefined) return "";
    const rest = this.#refusal === undefined ? filter.end() : "";
    if (filter.blocked !== undefined) this.#refusal ??= this.#refusalOf(filter.blocked);
    decisions.addRedactions("response", filter.redactions);
    return rest;
  }

  #refusalOf(blocked: BlockReason<GuardPattern>): Refusal {
    const { guard, decisions } = this.#responseGuard;
    return blockResponse(guard, decisions, blocked);
  }

  /** Judges data that is not a chunk of a completion, e.g. an error of the upstream. */
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

/** True if every edit writes what is there: pieces have edits to which held text can be added. */
function changesNothing(edits: readonly Edit[], data: string): boolean {
  return edits.every(({ start, end, literal }) => data.slice(start, end) === literal);
}

/** Result of judging an event. */
interface Passed {
  readonly before: readonly Buffer[];
  readonly data: string;
}
