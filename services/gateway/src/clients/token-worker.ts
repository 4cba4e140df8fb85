import { parentPort } from "node:worker_threads";
import type { BytePairs } from "../domain/tokens/byte-pairs.ts";
import { boundText } from "../domain/tokens/text-bound.ts";
import type { TokenizerName } from "../domain/request/model-directory.ts";
import { loadVocabulary } from "./load-vocabulary.ts";

/**
 * Thread that counts tokens: the vocabularies, of some 50 MB each, are loaded here at their first use, and long texts are counted
 * here, so that the event loop of the gateway does neither.
 */

/** Texts to count; undefined for a tokenizer that is not known. */
export interface CountTask {
  readonly id: number;
  readonly tokenizer: TokenizerName | undefined;
  readonly texts: readonly string[];
}

/** Counts of the texts of a task, in their order. */
export interface CountResult {
  readonly id: number;
  readonly counts: readonly number[];
}

const loaded = new Map<TokenizerName, Promise<BytePairs>>();

// A vocabulary that cannot be loaded ends the thread, which the gateway reports.
parentPort?.on("message", (task: CountTask) => void answer(task));

async function answer({ id, tokenizer, texts }: CountTask): Promise<void> {
  const count = tokenizer === undefined ? boundText : await counterOf(tokenizer);
  parentPort?.postMessage({ id, counts: texts.map(count) } satisfies CountResult);
}

async function counterOf(tokenizer: TokenizerName): Promise<(text: string) => number> {
  const loading = loaded.get(tokenizer) ?? loadVocabulary(tokenizer);
  loaded.set(tokenizer, loading);
  const pairs = await loading;
  return (text) => pairs.count(text);
}
