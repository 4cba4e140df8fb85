import { isObject } from "./chat-request.ts";
import { readUsage, type TokenUsage } from "./usage.ts";

/** Members that matter, found without parsing every chunk: a quote inside a JSON string is escaped and does not match. */
const USAGE = /"usage"\s*:\s*\{/;
const ERROR = /"error"\s*:\s*[{"]/;

/** Reads what a stream of chat completion chunks says about itself, and picks out the chunk that only we asked for. */
export class StreamMeter {
  readonly #wantsUsageChunk: boolean;
  #usage: TokenUsage | undefined;
  #done = false;
  #failed = false;

  constructor(wantsUsageChunk: boolean) {
    this.#wantsUsageChunk = wantsUsageChunk;
  }

  /** The last usage that was reported: where there are several, each includes those before. */
  get usage(): TokenUsage | undefined {
    return this.#usage;
  }

  /** Whether the upstream said that the answer is whole. */
  get done(): boolean {
    return this.#done;
  }

  /** Whether the upstream ended the answer with an error of its own. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Takes in the data of one event. @returns whether the client is to see it */
  absorb(data: string | undefined): boolean {
    if (data === undefined) return true;
    if (data.trim() === "[DONE]") this.#done = true;
    const hasUsage = USAGE.test(data);
    if (!hasUsage && !ERROR.test(data)) return true;
    const chunk = parse(data);
    if (!isObject(chunk)) return true;
    this.#failed ||= Boolean(chunk["error"]);
    this.#usage = readUsage(chunk) ?? this.#usage;
    return this.#wantsUsageChunk || !isUsageOnly(chunk);
  }
}

/** The chunk that `stream_options.include_usage` adds: usage, and no choice. */
function isUsageOnly(chunk: Record<string, unknown>): boolean {
  const { choices, usage } = chunk;
  return isObject(usage) && Array.isArray(choices) && choices.length === 0;
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}
