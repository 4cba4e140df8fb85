import { hash } from "node:crypto";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { yieldToEventLoop } from "@routeplane/guardrails";
import type { Component, Logger } from "@routeplane/runtime";
import type { CountUrgency, TokenCounter } from "../domain/ports/token-counter.ts";
import { boundTexts } from "../domain/tokens/text-bound.ts";
import type { TokenizerName } from "../domain/request/model-directory.ts";
import type { CountResult, CountTask } from "./token-worker.ts";

/** Length in UTF-16 code units at which a text is cut, so that its hash takes the event loop less than a millisecond. */
const MAX_SEGMENT = 256 * 1024;
/** Tokens added for each cut, as in a cut of the vocabulary's counter. */
const CUT_TOKENS = 2;
/** Maximum size of the texts of one task, in UTF-16 code units: other requests have their turn between two tasks. */
const MAX_TASK = 256 * 1024;
/** Bound of the requests that wait for the thread. */
const MAX_WAITING = 256;
/** Bound of the counts that are kept: some 3 MB. Agents send the same messages again and again. */
const MAX_KEPT = 20_000;
/** Longest wait for all counts of a request. */
const TIMEOUTS_MS: Readonly<Record<CountUrgency, number>> = { eager: 5_000, required: 10_000 };
/** Wait before a thread that failed is replaced. */
const RESTART_MS = 10_000;
/** A tokenizer takes some 60 MB, and the texts of one task at most 1 MB. */
const THREAD_HEAP_MB = 512;

/** Loader of vocabularies, which takes some 150 ms of another thread. */
export interface VocabularyLoader {
  /** Begins to load vocabularies that the first requests would wait for. */
  load(tokenizers: readonly (TokenizerName | undefined)[]): void;
}

interface Segment {
  readonly text: string;
  readonly key: string;
}

/**
 * Opens a counter that works in a thread of its own, started at its first use. Counts are kept by the hash of their text. A fault
 * of the thread, or too much work for it, costs precision and nothing else.
 */
export function createTokenCounter(log: Logger): TokenCounter & Component & VocabularyLoader {
  const kept = new Map<string, number>();
  let thread: CountingThread | undefined;
  let failedAtMs = -Infinity;
  let waiting = 0;

  function threadNow(): CountingThread | undefined {
    if (thread !== undefined || performance.now() - failedAtMs < RESTART_MS) return thread;
    thread = new CountingThread((error) => {
      log.error({ err: error }, "token counting failed: reservations use estimates until it recovers");
      thread = undefined;
      failedAtMs = performance.now();
    });
    return thread;
  }

  function keep(key: string, count: number): void {
    kept.delete(key);
    kept.set(key, count);
    if (kept.size <= MAX_KEPT) return;
    for (const oldest of kept.keys()) {
      kept.delete(oldest);
      break;
    }
  }

  /** Counts the segments, of at most `MAX_TASK` together. @returns undefined if there is no thread, or no answer in time */
  async function countTask(
    segments: readonly Segment[],
    tokenizer: TokenizerName | undefined,
    deadlineMs: number,
  ): Promise<number | undefined> {
    const counts = await threadNow()?.count(
      segments.map(({ text }) => text),
      tokenizer,
      deadlineMs,
    );
    if (counts === undefined) return undefined;
    segments.forEach(({ key }, index) => keep(key, counts[index] ?? 0));
    return sumOf(counts);
  }

  async function countAll(
    texts: readonly string[],
    tokenizer: TokenizerName | undefined,
    deadlineMs: number,
  ): Promise<number> {
    let tokens = 0;
    let uncounted: Segment[] = [];
    let uncountedChars = 0;
    let charsSinceYield = 0;
    const flush = async (): Promise<void> => {
      const isLate = performance.now() > deadlineMs;
      const counted = isLate ? undefined : await countTask(uncounted, tokenizer, deadlineMs);
      tokens += counted ?? boundTexts(uncounted.map(({ text }) => text));
      uncounted = [];
      uncountedChars = 0;
    };
    for (const text of texts) {
      for (const segment of segmentsOf(text)) {
        if (segment !== text) tokens += CUT_TOKENS;
        const key = keyOf(segment, tokenizer);
        const known = kept.get(key);
        charsSinceYield += segment.length;
        if (known === undefined) {
          if (uncountedChars + segment.length > MAX_TASK) await flush();
          uncounted.push({ text: segment, key });
          uncountedChars += segment.length;
        } else {
          keep(key, known);
          tokens += known;
        }
        if (charsSinceYield > MAX_TASK) {
          charsSinceYield = 0;
          await yieldToEventLoop();
        }
      }
    }
    if (uncounted.length > 0) await flush();
    return tokens;
  }

  return {
    name: "token-counter",
    load(tokenizers) {
      for (const tokenizer of new Set(tokenizers)) {
        if (tokenizer !== undefined) void countTask([], tokenizer, performance.now() + TIMEOUTS_MS.required);
      }
    },
    async count(texts, tokenizer, urgency) {
      if (waiting >= MAX_WAITING) return boundTexts(texts);
      waiting++;
      try {
        return await countAll(texts, tokenizer, performance.now() + TIMEOUTS_MS[urgency]);
      } finally {
        waiting--;
      }
    },
    async stop() {
      failedAtMs = Infinity;
      await thread?.stop();
    },
  };
}

/** Thread that counts, and the tasks that it has not answered. */
class CountingThread {
  readonly #worker: Worker;
  readonly #tasks = new Map<number, (counts: readonly number[] | undefined) => void>();
  #lastId = 0;

  /** @param onFailure called once, if the thread ends by itself */
  constructor(onFailure: (error: unknown) => void) {
    // The same ending as this module: `.ts`, or `.mjs` in the bundle of the image.
    const file = new URL(`./token-worker${extname(import.meta.url)}`, import.meta.url);
    this.#worker = new Worker(file, { resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MB } });
    this.#worker.unref();
    this.#worker.on("message", ({ id, counts }: CountResult) => this.#end(id, counts));
    this.#worker.once("error", (error) => {
      for (const id of this.#tasks.keys()) this.#end(id, undefined);
      onFailure(error);
    });
  }

  /** @returns undefined if there is no answer in time */
  async count(
    texts: readonly string[],
    tokenizer: TokenizerName | undefined,
    deadlineMs: number,
  ): Promise<readonly number[] | undefined> {
    const id = ++this.#lastId;
    const answer = new Promise<readonly number[] | undefined>((resolve) => this.#tasks.set(id, resolve));
    const timer = setTimeout(() => this.#end(id, undefined), deadlineMs - performance.now());
    this.#worker.postMessage({ id, tokenizer, texts } satisfies CountTask);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  }

  async stop(): Promise<void> {
    for (const id of this.#tasks.keys()) this.#end(id, undefined);
    await this.#worker.terminate();
  }

  #end(id: number, counts: readonly number[] | undefined): void {
    this.#tasks.get(id)?.(counts);
    this.#tasks.delete(id);
  }
}

function segmentsOf(text: string): readonly string[] {
  if (text.length <= MAX_SEGMENT) return [text];
  return Array.from({ length: Math.ceil(text.length / MAX_SEGMENT) }, (_, index) =>
    text.slice(index * MAX_SEGMENT, (index + 1) * MAX_SEGMENT),
  );
}

/** Key of the count of a text: the text itself where that is shorter than its hash. */
function keyOf(text: string, tokenizer: TokenizerName | undefined): string {
  return `${tokenizer ?? ""} ${text.length < 40 ? `=${text}` : hash("sha256", text, "base64")}`;
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
