import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RateLimitSpecSchema, UpdateRateLimitRequestSchema } from "@routeplane/contracts/policy";
import { definedFields } from "@routeplane/domain";
import { fromWrittenJson } from "@routeplane/policy-spec";
import { toProtoRateLimit } from "@routeplane/policy-spec/proto";
import type { Command } from "commander";
import { countArgument, MAX_COUNT } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { writtenJson } from "../../specs/read-spec.ts";
import { addPolicyKindCommands, type PolicyKindDefinition } from "./kind-commands.ts";

interface Flags {
  readonly windowSecs?: bigint;
  readonly maxRequests?: bigint;
  readonly maxTokens?: bigint;
  readonly maxConcurrent?: bigint;
  readonly clearMaxRequests?: true;
  readonly clearMaxTokens?: true;
  readonly clearMaxConcurrent?: true;
}

const MAX_WINDOW_SECS = 2_592_000n;
const MAX_CONCURRENT = 100_000n;

const rateLimit: PolicyKindDefinition<
  MessageInitShape<typeof RateLimitSpecSchema>,
  MessageInitShape<typeof UpdateRateLimitRequestSchema>,
  Flags
> = {
  kind: "rate_limit",
  command: "rate-limit",
  examples: {
    create: [
      "cloud rate-limit create --name per-minute --window-secs 60 --max-requests 100 --bind-namespace",
      "cloud rate-limit create --name agent --window-secs 3600 --max-tokens 50000 --max-concurrent 5 --bind-key key_01jxyz…",
    ],
    update: [
      "cloud rate-limit update pol_01jxyz… --max-requests 200",
      "cloud rate-limit update pol_01jxyz… --max-tokens 50000 --clear-max-requests",
    ],
  },

  addFlags(command) {
    command
      .option("--window-secs <number>", "Length of the sliding window, up to 30 days", countArgument(MAX_WINDOW_SECS))
      .option("--max-requests <number>", "Maximum number of requests within the window", countArgument(MAX_COUNT))
      .option(
        "--max-tokens <number>",
        "Maximum number of tokens, input and output, in the window",
        countArgument(MAX_COUNT),
      )
      .option("--max-concurrent <number>", "Maximum number of concurrent requests", countArgument(MAX_CONCURRENT));
  },
  addClearFlags(command) {
    command
      .option("--clear-max-requests", "Remove the maximum of requests")
      .option("--clear-max-tokens", "Remove the maximum of tokens")
      .option("--clear-max-concurrent", "Remove the maximum of concurrent requests");
  },

  async spec({ windowSecs, maxRequests, maxTokens, maxConcurrent }) {
    const maxima = definedFields({ maxRequests, maxTokens, maxConcurrent });
    if (windowSecs === undefined || Object.keys(maxima).length === 0) {
      throw usageError(
        "give --window-secs and at least one of --max-requests, --max-tokens and --max-concurrent, or --spec",
      );
    }
    return { windowSecs: Number(windowSecs), ...maxima };
  },
  read: (json) => toProtoRateLimit(fromWrittenJson("rate_limit", writtenJson(json))),
  change: async (flags) =>
    definedFields({
      windowSecs: flags.windowSecs === undefined ? undefined : Number(flags.windowSecs),
      maxRequests: flags.maxRequests,
      maxTokens: flags.maxTokens,
      maxConcurrent: flags.maxConcurrent,
      clearMaxRequests: flags.clearMaxRequests,
      clearMaxTokens: flags.clearMaxTokens,
      clearMaxConcurrent: flags.clearMaxConcurrent,
    }),

  calls: ({ rateLimits }) => ({
    create: (request) => rateLimits.createRateLimit(request),
    get: (request) => rateLimits.getRateLimit(request),
    list: (page) => rateLimits.listRateLimits(page),
    update: (request) => rateLimits.updateRateLimit(request),
    remove: (request) => rateLimits.deleteRateLimit(request),
  }),
};

export function addRateLimitCommands(group: Command, context: Context): void {
  addPolicyKindCommands(group, context, rateLimit);
}
