import { parseJsonOrUndefined } from "../wire/json.ts";
import { endOfString } from "../wire/json-members.ts";
import { type SseEvent, SseSplitter } from "../wire/sse.ts";
import { UpstreamFault } from "../ports/upstream.ts";
import { MAX_ANSWER_BYTES } from "./answer-body.ts";

/** Characters of the start of a secret from which events are held back; fewer occur in any text. */
const MIN_HELD_CHARS = 4;
/** Bound of the events that are held back; beyond it they are passed on. */
const MAX_HELD_BYTES = 1024 ** 2;
/** Bound of the texts that are tracked at a time, and of the pieces in one event; no answer has so many. */
const MAX_TEXTS = 1_024;

/** Matches the start of a member that is a string and can be a piece of a text; not those that every chunk repeats. */
const PIECE =
  /"(?!(?:id|object|model|system_fingerprint|service_tier|role|type|finish_reason)")([\w-]{1,40})"\s*:\s*"/g;
/** Length of the longest escape of a character. */
const ESCAPED_CHARS = "\\u0000".length;
/** Matches the first index in a chunk, which is the choice's. */
const INDEX = /"index"\s*:\s*(\d+)/;

/**
 * Passes a stream of server-sent events on, unless several events spell a secret, piece by piece: then the stream breaks off
 * before the piece that completes it. Events are held back while their text ends with the start of a secret, of at least 4
 * characters; all others pass at once.
 *
 * @param chunks bytes without a secret that is in one piece
 * @throws UpstreamFault `broken` if a secret is spelled
 */
export async function* withoutSplitSecrets(
  chunks: AsyncIterable<Uint8Array>,
  secrets: readonly string[],
): AsyncGenerator<Uint8Array> {
  const splitter = new SseSplitter(MAX_ANSWER_BYTES);
  const detector = new SecretDetector(secrets);
  let held: Buffer[] = [];
  let heldBytes = 0;
  const pass = (events: readonly SseEvent[]): Buffer | undefined => {
    let passed = 0;
    for (const { raw, data = "" } of events) {
      held.push(raw);
      heldBytes += raw.length;
      const state = detector.absorb(data);
      if (state === "whole") {
        held = held.slice(0, passed);
        throw new UpstreamFault("broken", "the upstream spells its own key");
      }
      // Nothing follows the end, so nothing completes a secret that has begun.
      if (state === "none" || heldBytes > MAX_HELD_BYTES || data.trim() === "[DONE]") passed = held.length;
    }
    if (passed === 0) return undefined;
    const leaving = held.slice(0, passed);
    held = held.slice(passed);
    heldBytes = held.reduce((sum, { length }) => sum + length, 0);
    return Buffer.concat(leaving);
  };
  let fault: unknown;
  try {
    for await (const chunk of chunks) {
      const passed = pass(splitter.push(chunk));
      if (passed !== undefined) yield passed;
    }
    const last = pass(splitter.end());
    if (last !== undefined) yield last;
  } catch (error) {
    fault = error;
  }
  // The stream is over: held events cannot complete a secret any more, unless one is complete.
  if (!detector.isWhole) yield* held;
  if (fault !== undefined) throw fault;
}

/** Detector of secrets in texts that arrive in pieces. */
class SecretDetector {
  readonly #secrets: readonly string[];
  readonly #maxChars: number;
  /** Ends of texts, keyed by choice and member, and by member alone. */
  readonly #tails = new Map<string, string>();
  /** Keys, as in `#tails`, of the texts that end with the start of a secret. */
  readonly #pending = new Set<string>();
  /** True once a secret is complete. */
  isWhole = false;

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets.map((secret) => secret.toLowerCase());
    this.#maxChars = Math.max(0, ...secrets.map(({ length }) => length));
  }

  /** Reads the data of an event. @returns the state of all texts: without secret, with the start of one, or with a whole one */
  absorb(data: string): "none" | "begun" | "whole" {
    const choice = INDEX.exec(data)?.[1] ?? "";
    let pieces = 0;
    for (const { 0: opening, 1: member = "", index } of data.matchAll(PIECE)) {
      if (++pieces > MAX_TEXTS) break;
      const start = index + opening.length - 1;
      for (const literal of this.#endsOf(data, start, endOfString(data, start))) {
        this.#add(`${choice} ${member}`, literal);
        // Also as one text over all choices: `index` may belong to the chunk.
        this.#add(member, literal);
      }
    }
    if (this.isWhole) return "whole";
    return this.#pending.size > 0 ? "begun" : "none";
  }

  /** Parts of a string that can belong to a secret which other pieces complete: all of a short string, both ends of a long one. */
  #endsOf(data: string, start: number, end: number): readonly string[] {
    const maxChars = this.#maxChars * ESCAPED_CHARS;
    if (end - start <= 2 * maxChars) return [data.slice(start, end)];
    return [`${data.slice(start, start + maxChars)}"`, `"${data.slice(end - maxChars, end)}`];
  }

  #add(text: string, literal: string): void {
    if (this.#tails.size > MAX_TEXTS) this.#tails.clear();
    const tail = (this.#tails.get(text) ?? "") + unescaped(literal).toLowerCase();
    this.#pending.delete(text);
    for (const secret of this.#secrets) {
      const begin = secret.slice(0, MIN_HELD_CHARS);
      for (let at = tail.indexOf(begin); at !== -1; at = tail.indexOf(begin, at + 1)) {
        this.isWhole ||= tail.startsWith(secret, at);
        if (secret.startsWith(tail.slice(at))) this.#pending.add(text);
      }
    }
    this.#tails.set(text, tail.slice(-this.#maxChars));
  }
}

function unescaped(literal: string): string {
  const text = literal.includes("\\") ? parseJsonOrUndefined(literal) : undefined;
  return typeof text === "string" ? text : literal.slice(1, -1);
}
