import type { JsonObject } from "../json.ts";
import type { Usage } from "../model.ts";
import { toCacheCreation } from "../openai/write-members.ts";

/**
 * Writes usage in the format of the chat wire: input includes cached tokens. Unknown counts are left out rather than zero. The split of
 * cache writes by time to live has the format of the messages wire.
 */
export function writeChatUsage(usage: Usage): JsonObject {
  const { input, output, cachedInput, cacheWrite, audioInput, reasoning, audioOutput } = usage;
  const inputDetails = {
    ...(cachedInput !== undefined && { cached_tokens: cachedInput }),
    ...(cacheWrite !== undefined && { cache_write_tokens: cacheWrite }),
    ...toCacheCreation(usage),
    ...(audioInput !== undefined && { audio_tokens: audioInput }),
  };
  const outputDetails = {
    ...(reasoning !== undefined && { reasoning_tokens: reasoning }),
    ...(audioOutput !== undefined && { audio_tokens: audioOutput }),
  };
  return {
    ...(input !== undefined && { prompt_tokens: input }),
    ...(output !== undefined && { completion_tokens: output }),
    ...(input !== undefined && output !== undefined && { total_tokens: input + output }),
    ...(hasMembers(inputDetails) && { prompt_tokens_details: inputDetails }),
    ...(hasMembers(outputDetails) && { completion_tokens_details: outputDetails }),
  };
}

function hasMembers(value: object): boolean {
  return Object.keys(value).length > 0;
}
