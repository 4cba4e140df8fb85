import * as z from "zod/v4";
import { groupBy, keyName, MAX_ROWS, ownKey, page, requestFilter, requestId, status } from "./inputs.ts";
import { MEASURES } from "../../request-words.ts";
import { defineTool, option, type Tool } from "./tool.ts";

/** Tools that change nothing. */

const annotations = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false } as const;

const whoami = defineTool({
  name: "whoami",
  title: "Identity of the key",
  description:
    "Shows the key in use: its id, name, scopes and expiry, and its namespace and account. Needs no scope. " +
    "Call it first to see what the other tools may do.",
  input: z.strictObject({}),
  annotations,
  call: (_, run) => run("cloud", "whoami"),
});

const getLimits = defineTool({
  name: "get_limits",
  title: "Limits of the key",
  description:
    "Lists every budget and rate limit that applies to the key in use, with what is used, reserved and left, and when it resets. " +
    "Amounts are micro-USD where `unit` is micro_usd. Needs no scope.",
  input: z.strictObject({}),
  annotations,
  call: (_, run) => run("cloud", "limits"),
});

const getUsage = defineTool({
  name: "get_usage",
  title: "Usage of the namespace",
  description:
    "Sums requests, tokens and spend (micro-USD) of the namespace, of the last 30 days unless `from` or `to` is given; with " +
    `\`group_by\` also for each group, at most ${MAX_ROWS}. Needs the scope usage:read.`,
  input: z.strictObject({
    ...requestFilter,
    group_by: groupBy.optional().describe('Dimensions to group by, e.g. ["model", "day"]'),
    largest: z
      .int()
      .min(1)
      .max(MAX_ROWS - 1)
      .optional()
      .describe(
        "Number of values of the dimensions that get groups of their own; all others share one, with their number in `rest_count`",
      ),
    largest_by: z.enum(MEASURES).optional().describe("Amount by which values are the largest; spend by default"),
  }),
  annotations,
  call: ({ group_by, largest, largest_by, ...filter }, run) =>
    run(
      "cloud",
      "usage",
      ...filterWords(filter),
      ...option("group-by", group_by?.join(",")),
      ...option("largest", largest),
      ...option("largest-by", largest_by),
    ),
});

const listRequests = defineTool({
  name: "list_requests",
  title: "Request log",
  description:
    "Lists requests of the namespace, newest first: their key, model, status, tokens, cost (micro-USD) and error. For older ones, " +
    "call it again with `page_token` as in `next_page_token`. Needs the scope usage:read.",
  input: z.strictObject({
    ...requestFilter,
    status: status.optional().describe("Status of the requests; `denied` are those that a policy refused"),
    ...page,
  }),
  annotations,
  call: ({ status, limit, page_token, ...filter }, run) =>
    run(
      "cloud",
      "requests",
      ...filterWords(filter),
      ...option("status", status),
      ...option("limit", limit),
      ...option("page-token", page_token),
    ),
});

const getRequest = defineTool({
  name: "get_request",
  title: "Receipt of a request",
  description:
    "Shows one request with its receipt: reservation, price and charge, the decisions of guardrails and policies, attempts and " +
    "times. Needs the scope usage:read.",
  input: z.strictObject({ id: requestId }),
  annotations,
  call: ({ id }, run) => run("cloud", "request", "get", "--", id),
});

const explainRequest = defineTool({
  name: "explain_request",
  title: "Reason of a refusal",
  description:
    "Explains why a request was refused or failed: what decided on it, the policy and the key or namespace that it is bound to, what " +
    "was left, when to try again, and what to do next. Needs the scope usage:read; policy:read and keys:read for names.",
  input: z.strictObject({ id: requestId }),
  annotations,
  call: ({ id }, run) => run("cloud", "request", "explain", "--", id),
});

const getEffectivePolicy = defineTool({
  name: "get_effective_policy",
  title: "Policies that apply to a key",
  description:
    "Shows every guardrail rule, budget and rate limit that applies to a key through itself, the keys above it and the namespace, " +
    "each with the policy that it comes from and its current use. Without `key`, of the key in use. Needs the scope policy:read.",
  input: z.strictObject({ key: keyName.optional() }),
  annotations,
  async call({ key }, run) {
    const id = key ?? ownKey.parse(await run("cloud", "whoami")).key.id;
    return run("cloud", "policy", "effective", "--principal-type=api_key", ...option("principal-id", id));
  },
});

const listKeys = defineTool({
  name: "list_keys",
  title: "Keys of the namespace",
  description:
    "Lists the keys of the namespace, oldest first, revoked and expired ones included, each with its scopes, its expiry and the key " +
    "that minted it (`parent_id`). Needs the scope keys:read.",
  input: z.strictObject(page),
  annotations,
  call: ({ limit, page_token }, run) =>
    run("cloud", "keys", "list", ...option("limit", limit), ...option("page-token", page_token)),
});

const listModels = defineTool({
  name: "list_models",
  title: "Models that the key may call",
  description: `Lists the models that the key in use may call, at most ${MAX_ROWS}, with what is known of them. Needs the scope inference:invoke.`,
  input: z.strictObject({
    search: z.string().min(1).max(100).optional().describe("Part of the id or of the provider, in any case"),
  }),
  annotations,
  async call({ search = "" }, run) {
    const { data, ...rest } = modelList.parse(await run("cloud", "models"));
    const isWanted = (text: string): boolean => text.toLowerCase().includes(search.toLowerCase());
    return { data: data.filter(({ id, provider }) => isWanted(id) || isWanted(provider)), ...rest };
  },
});

const modelList = z.looseObject({ data: z.array(z.looseObject({ id: z.string(), provider: z.string() })) });

export const READ_TOOLS: readonly Tool[] = [
  whoami,
  getLimits,
  getUsage,
  listRequests,
  getRequest,
  explainRequest,
  getEffectivePolicy,
  listKeys,
  listModels,
];

type Filter = Readonly<Partial<Record<"key" | "model" | "provider" | "from" | "to", string | undefined>>>;

function filterWords({ key, model, provider, from, to }: Filter): readonly string[] {
  return [
    ...option("key", key),
    ...option("model", model),
    ...option("provider", provider),
    ...option("from", from),
    ...option("to", to),
    ...option("time-zone", "UTC"),
  ];
}
