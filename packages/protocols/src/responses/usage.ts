import { isObject, type JsonObject } from "../json.ts";
import type { Usage } from "../model.ts";
import { toCacheCreation } from "../openai/write-members.ts";

/** Reads the usage of a response, in which every part is included in its whole. @returns undefined if there is none */
export function readResponsesUsage(usage: unknown): Usage | undefined {
  if (!isObject(usage)) return undefined;
  const input = isObject(usage["input_tokens_details"]) ? usage["input_tokens_details"] : {};
  const output = isObject(usage["output_tokens_details"]) ? usage["output_tokens_details"] : {};
  const written = isObject(input["cache_creation"]) ? input["cache_creation"] : {};
  return {
    ...count("input", usage["input_tokens"]),
    ...count("cachedInput", input["cached_tokens"]),
    ...count("cacheWrite", input["cache_write_tokens"]),
    ...count("cacheWrite5m", written["ephemeral_5m_input_tokens"]),
    ...count("cacheWrite1h", written["ephemeral_1h_input_tokens"]),
    ...count("audioInput", input["audio_tokens"]),
    ...count("output", usage["output_tokens"]),
    ...count("reasoning", output["reasoning_tokens"]),
    ...count("audioOutput", output["audio_tokens"]),
  };
}

function count<Name extends keyof Usage>(name: Name, value: unknown): Partial<Record<Name, number>> {
  return typeof value === "number" ? ({ [name]: value } as Record<Name, number>) : {};
}

/**
 * Writes the usage of a response. An unknown whole is left out rather than zero. The split of cache writes by time to live has the format
 * of the messages wire.
 */
export function writeResponsesUsage(usage: Usage): JsonObject {
  const { input, output, cachedInput = 0, cacheWrite = 0, reasoning = 0 } = usage;
  const { audioInput, audioOutput } = usage;
  return {
    ...(input !== undefined && { input_tokens: input }),
    input_tokens_details: {
      cached_tokens: cachedInput,
      cache_write_tokens: cacheWrite,
      ...toCacheCreation(usage),
      ...(audioInput !== undefined && { audio_tokens: audioInput }),
    },
    ...(output !== undefined && { output_tokens: output }),
    output_tokens_details: {
      reasoning_tokens: reasoning,
      ...(audioOutput !== undefined && { audio_tokens: audioOutput }),
    },
    ...(input !== undefined && output !== undefined && { total_tokens: input + output }),
  };
}
