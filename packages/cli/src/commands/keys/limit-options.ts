import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { PresetSpecSchema } from "@routeplane/contracts/policy";
import { definedFields } from "@routeplane/domain";
import type { Command } from "commander";
import { durationArgument, modelsArgument, rateArgument, type RequestRate, usdArgument } from "../../arguments.ts";
import { usageError } from "../../errors.ts";
import { addWindowOptions, toProtoWindow, type WindowFlags } from "../budget-window.ts";

/** Options of a mint that limit the new key. */
export interface LimitOptions extends WindowFlags {
  readonly limitUsd?: bigint;
  readonly maxRequests?: RequestRate;
  readonly models?: readonly string[];
  readonly expiresIn?: number;
}

/** Adds the options that limit a new key. */
export function addLimitOptions(command: Command): Command {
  command.option("--limit-usd <amount>", "Budget of the key and all below it, e.g. 5 or 0.25", usdArgument);
  return addWindowOptions(command, "Window of --limit-usd (default: total)")
    .option("--max-requests <n>/<time>", "Rate limit, e.g. 60/1m", rateArgument)
    .option("--models <globs>", "Models that it may call, e.g. 'gpt-*'; repeatable", modelsArgument)
    .option("--expires-in <time>", "Expiry from now, e.g. 30m, 2h or 7d", durationArgument);
}

/**
 * Converts the options to the limits of a new key; undefined if none is given.
 *
 * @throws CliError for a window without an amount, or a time zone without a window that has one
 */
export function toProtoLimits(options: LimitOptions): MessageInitShape<typeof PresetSpecSchema> | undefined {
  const { limitUsd: limitMicroUsd, window, timeZone, maxRequests: rate, models } = options;
  if (window !== undefined && limitMicroUsd === undefined) throw usageError("--window needs --limit-usd");
  const budgetWindow = toProtoWindow({ window: window ?? "total", ...definedFields({ timeZone }) });
  const limits = {
    ...(limitMicroUsd !== undefined && { budget: { ...budgetWindow, limitMicroUsd } }),
    ...(rate !== undefined && { rateLimit: { windowSecs: rate.windowSecs, maxRequests: rate.maxRequests } }),
    ...(models !== undefined && { guardrail: { modelAllow: { models: [...models] } } }),
  };
  return Object.keys(limits).length === 0 ? undefined : limits;
}

/** Expiry from `--expires-in`; undefined without it. */
export function toProtoExpiry({ expiresIn }: LimitOptions, now: number): Timestamp | undefined {
  return expiresIn === undefined ? undefined : timestampFromDate(new Date(now + expiresIn * 1_000));
}
