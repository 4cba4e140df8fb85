import { BUDGET_WINDOWS } from "@routeplane/admission";
import * as z from "zod/v4";
import { CliError, ExitCode } from "../../errors.ts";
import { keyName, ownKey } from "./inputs.ts";
import { defineTool, option, type RunCommand, type Tool, toolError } from "./tool.ts";

/** Tools that change something. They are listed only with `--allow-writes`. */

const MICRO_USD_DECIMALS = 6;
const word = z.string().regex(/^[^\s,]{1,200}$/);
const duration = z.string().regex(/^\d{1,9}[smhd]$/);

const mintKey = defineTool({
  name: "mint_key",
  title: "Mint a limited sub-key",
  description:
    "Mints a sub-key of the key in use with a budget and an expiry, e.g. for another agent. `token` in the result is shown once and " +
    "not stored: pass it only to the program that is to use it. Scopes, budget and expiry are at most those of the key in " +
    "use. Needs the scope keys:write.",
  input: z.strictObject({
    name: z.string().min(1).max(100).describe("Name for people; need not be unique"),
    scopes: z.array(word).min(1).max(20).describe('Scopes, at most those of the key in use, e.g. ["inference:invoke"]'),
    limit_usd: z
      .number()
      .positive()
      .max(9_000_000_000)
      .refine((usd) => Number(usd.toFixed(MICRO_USD_DECIMALS)) === usd, "must have at most 6 decimals")
      .describe("Budget in USD of the key and all below it, e.g. 5 or 0.25"),
    window: z.enum(BUDGET_WINDOWS).describe("Window of the budget; `total` for the whole life of the key"),
    time_zone: z
      .string()
      .min(1)
      .max(100)
      .optional()
      .describe("Time zone of the windows calendar_day and calendar_month, e.g. Europe/Berlin; UTC without it"),
    expires_in: duration.describe("Expiry from now in s, m, h or d, e.g. 30m, 2h or 7d"),
    max_requests: z
      .string()
      .regex(/^\d{1,16}\/\d{1,9}[smhd]$/)
      .optional()
      .describe("Rate limit: requests within a time, e.g. 60/1m"),
    models: z
      .array(word)
      .min(1)
      .max(100)
      .optional()
      .describe('Models that it may call, e.g. ["gpt-*"]; all without it'),
  }),
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: false },
  call: ({ name, scopes, limit_usd, window, time_zone, expires_in, max_requests, models = [] }, run) =>
    run(
      "cloud",
      "keys",
      "mint",
      ...option("name", name),
      ...scopes.flatMap((scope) => option("scope", scope)),
      ...option("limit-usd", limit_usd.toFixed(MICRO_USD_DECIMALS)),
      ...option("window", window),
      ...option("time-zone", time_zone),
      ...option("expires-in", expires_in),
      ...option("max-requests", max_requests),
      ...models.flatMap((model) => option("models", model)),
    ),
});

const revokeKey = defineTool({
  name: "revoke_key",
  title: "Revoke a sub-key",
  description:
    "Revokes a key that was minted by the key in use, or below it, and every key below that: at once and for good. Needs the scopes " +
    "keys:write and keys:read.",
  input: z.strictObject({
    key: keyName,
    reason: z.string().min(1).max(200).optional().describe("Reason, kept with the key"),
  }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  async call({ key, reason }, run) {
    const target = await readKey(key, run);
    await requireBelow(target, run);
    return run("cloud", "keys", "revoke", ...option("reason", reason), "--", target.id);
  },
});

const bindPolicy = defineTool({
  name: "bind_policy",
  title: "Bind a policy",
  description:
    "Binds a policy to a key and all below it, or to the whole namespace, which it limits from then on. Nothing here unbinds it. " +
    "Needs the scopes policy:write and policy:read.",
  input: z.strictObject({
    policy: z.string().min(1).max(100).describe("Name or id (pol_…) of the policy"),
    principal_type: z.enum(["api_key", "namespace"]).describe("Type of the principal to bind it to"),
    principal_id: z
      .string()
      .min(1)
      .max(100)
      .describe("Name or id of that key (key_…) or of the namespace in use (ns_…)"),
    shadow: z.boolean().default(false).describe("True to log what the policy would refuse, and refuse nothing"),
  }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
  call: ({ policy, principal_type, principal_id, shadow }, run) =>
    run(
      "cloud",
      "policy",
      "bind",
      ...option("principal-type", principal_type),
      ...option("principal-id", principal_id),
      ...(shadow ? ["--shadow"] : []),
      "--",
      policy,
    ),
});

export const WRITE_TOOLS: readonly Tool[] = [mintKey, revokeKey, bindPolicy];

/** Maximum number of keys to read of a lineage; a lineage has fewer. */
const MAX_LINEAGE = 32;

const keyRow = z.object({ id: z.string(), name: z.string(), parent_id: z.string().nullable() });
type KeyRow = z.output<typeof keyRow>;

async function readKey(nameOrId: string, run: RunCommand): Promise<KeyRow> {
  return keyRow.parse(await run("cloud", "keys", "get", "--", nameOrId));
}

/**
 * Requires that a key is below the key in use: the node would let a root key revoke any key of the namespace, itself included.
 *
 * @throws ToolError
 */
async function requireBelow(target: KeyRow, run: RunCommand): Promise<void> {
  const own = ownKey.parse(await run("cloud", "whoami")).key.id;
  let { parent_id: above } = target;
  for (let depth = 0; above !== null && depth < MAX_LINEAGE; depth++) {
    if (above === own) return;
    above = (await readKey(above, run)).parent_id;
  }
  const message = `the key ${target.name} (${target.id}) is not below the key in use (${own}), which can revoke only keys below it`;
  throw toolError(
    new CliError(ExitCode.denied, "permission_denied", "KEY_OUT_OF_LINEAGE", message, {
      hint: `A person can revoke it: \`routeplane cloud keys revoke ${target.id}\`.`,
    }),
  );
}
