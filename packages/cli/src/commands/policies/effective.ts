import { PROTO_PRINCIPAL_TYPES } from "@routeplane/policy-spec/proto";
import { type Command, Option } from "commander";
import { idArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { resolvePrincipal } from "../../resolve-name.ts";
import { loginCredential } from "../../session.ts";
import { effectivePolicyText, fromProtoEffectivePolicy } from "../../views/policies/effective-policy.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";

interface EffectiveOptions {
  readonly principalType: keyof typeof PROTO_PRINCIPAL_TYPES;
  readonly principalId: string;
}

export function addEffectiveCommand(policy: Command, context: Context): void {
  const effective = policy
    .command("effective")
    .description("Show the effective policy of a key or of the namespace")
    .addHelpText(
      "after",
      "\nShows each rule and limit with the policy that it comes from, and the current use of each limit.",
    )
    .addOption(
      new Option("--principal-type <type>", "Type of the principal")
        .choices(Object.keys(PROTO_PRINCIPAL_TYPES))
        .makeOptionMandatory(),
    )
    .requiredOption("--principal-id <name|id>", "Name or id of the principal (key_… or ns_…)", idArgument)
    .action((options: EffectiveOptions) => showEffective(context, options));
  withExamples(
    effective,
    "cloud policy effective --principal-type api_key --principal-id key_01jxyz…",
    "cloud policy effective --principal-type namespace --principal-id ns_01jxyz… --json",
  );
}

async function showEffective(context: Context, { principalType, principalId }: EffectiveOptions): Promise<void> {
  const client = await context.connect(await loginCredential(context.settings));
  const request = {
    principalType: PROTO_PRINCIPAL_TYPES[principalType],
    principalId: await resolvePrincipal(client, principalType, principalId),
  };
  const response = await client.effectivePolicy.getEffectivePolicy(request);
  const view = fromProtoEffectivePolicy(requirePresent(response.effectivePolicy));
  const { guardrail, shadow_guardrail, budgets, rate_limits } = view;
  if (guardrail === null && shadow_guardrail === null && budgets.length + rate_limits.length === 0) {
    context.output.note("No policy applies.");
  }
  context.output.data(view, (style) => effectivePolicyText(view, style));
}
