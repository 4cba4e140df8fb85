import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { PresetSpecSchema } from "@routeplane/contracts/policy";
import { PROTO_BUDGET_WINDOWS } from "@routeplane/policy-spec/proto";
import { type Command, Option } from "commander";
import { durationArgument, modelsArgument, rateArgument, type RequestRate, usdArgument } from "../../arguments.ts";
import { usageError } from "../../errors.ts";

/** Options of a mint that limit the new key. */
export interface LimitOptions {
  readonly limitUsd?: bigint;
  readonly window?: keyof typeof PROTO_BUDGET_WINDOWS;
  readonly maxRequests?: RequestRate;
  readonly models?: readonly string[];
  readonly expiresIn?: number;
}

/** Adds the options that limit a new key. */
export function addLimitOptions(command: Command): Command {
  return command
    .option("--limit-usd <amount>", "Budget of the key and all below it, e.g. 5 or 0.25", usdArgument)
    .addOption(
      new Option("--window <window>", "Window of --limit-usd (default: total)").choices(
        Object.keys(PROTO_BUDGET_WINDOWS),
      ),
    )
    .option("--max-requests <n>/<time>", "Rate limit, e.g. 60/1m", rateArgument)
    .option("--models <globs>", "Models that it may call, e.g. 'gpt-*'; repeatable", modelsArgument)
    .option("--expires-in <time>", "Expiry from now, e.g. 30m, 2h or 7d", durationArgument);
}

/** Limits to mint a key with; undefined if none is given. @throws CliError for a window without an amount */
export function toProtoLimits(options: LimitOptions): MessageInitShape<typeof PresetSpecSchema> | undefined {
  const { limitUsd: limitMicroUsd, window, maxRequests: rate, models } = options;
  if (window !== undefined && limitMicroUsd === undefined) throw usageError("--window needs --limit-usd");
  const limits = {
    ...(limitMicroUsd !== undefined && {
      budget: { window: PROTO_BUDGET_WINDOWS[window ?? "total"], limitMicroUsd },
    }),
    ...(rate !== undefined && { rateLimit: { windowSecs: rate.windowSecs, maxRequests: rate.maxRequests } }),
    ...(models !== undefined && { guardrail: { modelAllow: { models: [...models] } } }),
  };
  return Object.keys(limits).length === 0 ? undefined : limits;
}

/** Expiry of the key that `--expires-in` gives; undefined without it. */
export function toProtoExpiry({ expiresIn }: LimitOptions, now: number): Timestamp | undefined {
  return expiresIn === undefined ? undefined : timestampFromDate(new Date(now + expiresIn * 1_000));
}
