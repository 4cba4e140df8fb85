import * as z from "zod/v4";
import { requestId } from "./inputs.ts";
import { defineTool, type RunCommand, ToolError } from "./tool.ts";

/** Tool that leads from a refused request to the policy that refused it. */

/** Receipt of a request, as far as its explanation uses it. */
const receipt = z.object({
  status: z.string(),
  http_status: z.number().nullable(),
  error_code: z.string().nullable(),
  upstream_error: z.string().nullable(),
  denied_rule: z.string().nullable(),
  denied_by_policy_id: z.string().nullable(),
  denied_by_binding_id: z.string().nullable(),
});
type Receipt = z.output<typeof receipt>;

const policyRow = z.object({ name: z.string() });
const bindingRow = z.looseObject({ id: z.string(), principal_type: z.string(), principal_id: z.string() });
const bindingList = z.looseObject({ data: z.array(bindingRow) });

export const explainRequest = defineTool({
  name: "explain_request",
  title: "Reason of a refusal",
  description:
    "Explains why a request was refused or failed: a sentence, the request, and, where a policy refused it, the policy as it is now, " +
    "with what is left of its budget, and the binding by which it applies. Needs the scope usage:read, and policy:read for the policy.",
  input: z.strictObject({ id: requestId }),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  async call({ id }, run) {
    const request = await run("cloud", "request", "get", "--", id);
    const known = receipt.parse(request);
    const { denied_by_policy_id: policyId, denied_by_binding_id: bindingId } = known;
    const policy = policyId === null ? null : await ifAllowed(run, "cloud", "policy", "get", "--", policyId);
    const bindings = policy === null ? null : await ifAllowed(run, "cloud", "policy", "bindings", "--", policyId ?? "");
    const binding = bindingList.safeParse(bindings).data?.data.find((each) => each.id === bindingId) ?? null;
    return { explanation: sentenceOf(known, policyRow.safeParse(policy).data, binding), request, policy, binding };
  },
});

/** Runs a command; null if the credential may not, or what it names is gone. */
async function ifAllowed(run: RunCommand, ...argv: readonly string[]): Promise<unknown> {
  try {
    return await run(...argv);
  } catch (error) {
    if (error instanceof ToolError && ["SCOPE_MISSING", "RESOURCE_NOT_FOUND"].includes(error.json.error.reason))
      return null;
    throw error;
  }
}

function sentenceOf(
  request: Receipt,
  policy: z.output<typeof policyRow> | undefined,
  binding: z.output<typeof bindingRow> | null,
): string {
  const { status, http_status, error_code, denied_rule, denied_by_policy_id: policyId } = request;
  const answer = [http_status, error_code].filter((part) => part !== null).join(" ") || "no status";
  if (status !== "denied") {
    const words = request.upstream_error === null ? "" : `; the upstream said: ${request.upstream_error}`;
    return `The request was not refused by a policy: its status is ${status} (${answer})${words}.`;
  }
  if (policyId === null) return `The request was refused with ${answer}, not by a policy.`;
  const name = policy === undefined ? policyId : `${JSON.stringify(policy.name)} (${policyId})`;
  const place = binding === null ? "" : `, which is bound to the ${placeOf(binding)}`;
  return `The request was refused with ${answer} by the rule ${denied_rule ?? "of a policy"} of the policy ${name}${place}.`;
}

function placeOf({ principal_type, principal_id }: z.output<typeof bindingRow>): string {
  return `${principal_type === "namespace" ? "namespace" : "key"} ${principal_id}`;
}
