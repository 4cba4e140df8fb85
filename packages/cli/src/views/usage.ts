import type { GetUsageResponse } from "@routeplane/contracts/usage";
import { formatMicroUsd } from "../output/money.ts";
import { formatTime } from "../output/time.ts";
import { fromProtoInteger, fromProtoSetTime } from "./values.ts";

export interface UsageView {
  readonly from: string;
  /** Exclusive. */
  readonly to: string;
  readonly request_count: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly spend_micro_usd: number;
}

export function fromProtoUsage(usage: GetUsageResponse): UsageView {
  return {
    from: fromProtoSetTime(usage.from),
    to: fromProtoSetTime(usage.to),
    request_count: fromProtoInteger(usage.requestCount),
    prompt_tokens: fromProtoInteger(usage.promptTokens),
    completion_tokens: fromProtoInteger(usage.completionTokens),
    spend_micro_usd: fromProtoInteger(usage.spendMicroUsd),
  };
}

export function usageFields(usage: UsageView): readonly [string, string][] {
  return [
    ["from", formatTime(usage.from)],
    ["to", formatTime(usage.to)],
    ["requests", String(usage.request_count)],
    ["prompt tokens", String(usage.prompt_tokens)],
    ["completion tokens", String(usage.completion_tokens)],
    ["spend", formatMicroUsd(usage.spend_micro_usd)],
  ];
}
