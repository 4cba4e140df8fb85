import { isObject } from "./chat-request.ts";
import { readUsage, type TokenUsage } from "./usage.ts";

/** Members that matter, found without parsing every chunk: a quote inside a JSON string is escaped and does not match. */
const USAGE = /"usage"\s*:\s*\{/;
/** Text that is not empty, in any of the members that carry output. */
const TEXT = /"(?:content|reasoning_content|reasoning|refusal|arguments)"\s*:\s*"[^"]/;
const ERROR = /"error"\s*:\s*[{"]/;

/** Reads what a stream of chat completion chunks says about itself, and picks out the chunk that only we asked for. */
export class StreamMeter {
  readonly #wantsUsageChunk: boolean;
  readonly #outputTokensMax: number;
  #pieces = 0;
  #usage: TokenUsage | undefined;
  #done = false;
  #failed = false;
  #overran = false;

  /** @param wants.outputTokensMax what was granted, over all choices */
  constructor(wants: { readonly wantsUsageChunk: boolean; readonly outputTokensMax: number }) {
    this.#wantsUsageChunk = wants.wantsUsageChunk;
    this.#outputTokensMax = wants.outputTokensMax;
  }

  /**
   * Whether the stream has certainly used more output than was granted: by its pieces of text, each of which is at least one
   * token, or by what it says itself while it goes on.
   */
  get exhausted(): boolean {
    return this.#pieces > this.#outputTokensMax || this.#overran;
  }

  /** Whether there was any output. */
  get begun(): boolean {
    return this.#pieces > 0;
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

  /** Takes in events until the grant is used up. @returns those that the client is to see */
  absorbAll<E extends { readonly data: string | undefined }>(events: readonly E[]): readonly E[] {
    const kept: E[] = [];
    for (const event of events) {
      const visible = this.absorb(event.data);
      if (this.exhausted) break;
      if (visible) kept.push(event);
    }
    return kept;
  }

  /** Takes in the data of one event. @returns whether the client is to see it */
  absorb(data: string | undefined): boolean {
    if (data === undefined) return true;
    if (data.trim() === "[DONE]") this.#done = true;
    if (TEXT.test(data)) this.#pieces += 1;
    const hasUsage = USAGE.test(data);
    if (!hasUsage && !ERROR.test(data)) return true;
    const chunk = parse(data);
    if (!isObject(chunk)) return true;
    this.#failed ||= Boolean(chunk["error"]);
    const usage = readUsage(chunk);
    this.#usage = usage ?? this.#usage;
    this.#overran ||= usage !== undefined && usage.completionTokens > this.#outputTokensMax && goesOn(chunk);
    return this.#wantsUsageChunk || !isUsageOnly(chunk);
  }
}

/** Whether a choice of the chunk is not finished. */
function goesOn({ choices }: Record<string, unknown>): boolean {
  return (
    Array.isArray(choices) && choices.some((choice) => isObject(choice) && (choice["finish_reason"] ?? null) === null)
  );
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
