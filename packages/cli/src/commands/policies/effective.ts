import type { Command } from "commander";
import { principalArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { loginCredential } from "../../session.ts";
import { effectivePolicyText, fromProtoEffectivePolicy } from "../../views/policies/effective-policy.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";
import {
  addPrincipalOptions,
  PRINCIPAL_ARGUMENT,
  type PrincipalOptions,
  requirePrincipal,
  toProtoPrincipal,
} from "./principal.ts";

export function addEffectiveCommand(policy: Command, context: Context): void {
  const effective = policy
    .command("effective")
    .description("Show the effective policy of a key or of the namespace")
    .addHelpText(
      "after",
      "\nShows each rule and limit with the policy that it comes from, and the current use of each limit.",
    )
    .argument("[key|namespace]", PRINCIPAL_ARGUMENT, principalArgument)
    .action((principal: string | undefined, options: PrincipalOptions) => showEffective(context, principal, options));
  addPrincipalOptions(effective, "Type of the principal");
  withExamples(
    effective,
    "cloud policy effective my-agent",
    "cloud policy effective --principal-type api_key --principal-id key_01jxyz…",
    "cloud policy effective --principal-type namespace --principal-id ns_01jxyz… --json",
  );
}

async function showEffective(context: Context, named: string | undefined, options: PrincipalOptions): Promise<void> {
  const reference = requirePrincipal(named, options);
  const client = await context.connect(await loginCredential(context.settings));
  const principal = await toProtoPrincipal(client, reference);
  const response = await client.effectivePolicy.getEffectivePolicy(principal);
  const view = fromProtoEffectivePolicy(requirePresent(response.effectivePolicy));
  const { guardrail, shadow_guardrail, budgets, rate_limits } = view;
  if (guardrail === null && shadow_guardrail === null && budgets.length + rate_limits.length === 0) {
    context.output.note("No policy applies.");
  }
  context.output.data(view, (style) => effectivePolicyText(view, style));
}
