import { isObject, type JsonObject } from "../json.ts";
import type { Usage } from "../model.ts";

/** Members of a usage record that are read, here and for the tier; a record may have any number of others. */
export const USAGE_MEMBERS = [
  "input_tokens",
  "cache_read_input_tokens",
  "cache_creation",
  "cache_creation_input_tokens",
  "output_tokens",
  "output_tokens_details",
  "service_tier",
] as const;

/** Reads a usage record of the messages wire, whose input does not include cached tokens. @returns undefined if it counts nothing */
export function readMessagesUsage(record: unknown): Usage | undefined {
  if (!isObject(record)) return undefined;
  const input = countOf(record["input_tokens"]);
  const cachedInput = countOf(record["cache_read_input_tokens"]);
  const byTime = isObject(record["cache_creation"]) ? record["cache_creation"] : {};
  const cacheWrite5m = countOf(byTime["ephemeral_5m_input_tokens"]);
  const cacheWrite1h = countOf(byTime["ephemeral_1h_input_tokens"]);
  const cacheWrite = countOf(record["cache_creation_input_tokens"]) ?? sumOf(cacheWrite5m, cacheWrite1h);
  const output = countOf(record["output_tokens"]);
  const details = isObject(record["output_tokens_details"]) ? record["output_tokens_details"] : {};
  const reasoning = countOf(details["thinking_tokens"]);
  const usage: Usage = {
    ...(input !== undefined && { input: input + (cachedInput ?? 0) + (cacheWrite ?? 0) }),
    ...(cachedInput !== undefined && { cachedInput }),
    ...(cacheWrite !== undefined && { cacheWrite }),
    ...(cacheWrite5m !== undefined && { cacheWrite5m }),
    ...(cacheWrite1h !== undefined && { cacheWrite1h }),
    ...(output !== undefined && { output }),
    ...(reasoning !== undefined && { reasoning }),
  };
  return Object.keys(usage).length === 0 ? undefined : usage;
}

function sumOf(first: number | undefined, second: number | undefined): number | undefined {
  return first === undefined && second === undefined ? undefined : (first ?? 0) + (second ?? 0);
}

function countOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : undefined;
}

/**
 * Writes usage in the format of the messages wire. Its clients need both counts, so an unknown one is written as zero, which the gateway
 * treats as a placeholder. Audio, which the wire does not have, is counted under the names of the responses wire.
 */
export function writeMessagesUsage(usage: Usage | undefined, serviceTier?: string): JsonObject {
  const { input = 0, output = 0, cachedInput, cacheWrite, cacheWrite5m, cacheWrite1h } = usage ?? {};
  const { audioInput = 0, audioOutput = 0, reasoning } = usage ?? {};
  const outputDetails = {
    ...(reasoning !== undefined && { thinking_tokens: reasoning }),
    ...(audioOutput > 0 && { audio_tokens: audioOutput }),
  };
  const hasTimes = cacheWrite5m !== undefined || cacheWrite1h !== undefined;
  return {
    input_tokens: Math.max(0, input - (cachedInput ?? 0) - (cacheWrite ?? 0)),
    ...(cacheWrite !== undefined && { cache_creation_input_tokens: cacheWrite }),
    ...(cachedInput !== undefined && { cache_read_input_tokens: cachedInput }),
    ...(hasTimes && {
      cache_creation: { ephemeral_5m_input_tokens: cacheWrite5m ?? 0, ephemeral_1h_input_tokens: cacheWrite1h ?? 0 },
    }),
    ...(audioInput > 0 && { input_tokens_details: { audio_tokens: audioInput } }),
    output_tokens: output,
    ...(Object.keys(outputDetails).length > 0 && { output_tokens_details: outputDetails }),
    ...(serviceTier !== undefined && { service_tier: serviceTier }),
  };
}
