import type { Policy } from "@routeplane/contracts/policy";
import type { Command } from "commander";
import { policyArgument } from "../../arguments.ts";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { block } from "../../output/table.ts";
import { resolvePolicy } from "../../resolve-name.ts";
import { loginCredential } from "../../session.ts";
import { fromProtoPolicy, policyFields } from "../../views/policies/policy.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";
import { deletePolicy, DELETE_EXAMPLES, LINEAGE_NOTE } from "./delete-policy.ts";

/** Adds `enable`, `disable` and `delete`. */
export function addPolicyLifecycleCommands(policy: Command, context: Context): void {
  const enable = policy
    .command("enable")
    .description("Enable a disabled policy, wherever it is bound")
    .argument("<name|id>", "Name or id of the policy (pol_…)", policyArgument)
    .action((nameOrId: string) => change(context, nameOrId, ({ policies }, id) => policies.enablePolicy({ id })));
  withExamples(enable, "cloud policy enable pol_01jxyz…");

  const disable = policy
    .command("disable")
    .description("Disable a policy; its bindings and counters stay")
    .argument("<name|id>", "Name or id of the policy (pol_…)", policyArgument)
    .addHelpText("after", LINEAGE_NOTE)
    .action((nameOrId: string) => change(context, nameOrId, ({ policies }, id) => policies.disablePolicy({ id })));
  withExamples(disable, "cloud policy disable pol_01jxyz…");

  const remove = policy
    .command("delete")
    .description("Delete a policy, its bindings and counters, for good")
    .argument("<name|id>", "Name or id of the policy (pol_…)", policyArgument)
    .option("-y, --yes", "Skip the confirmation")
    .addHelpText("after", LINEAGE_NOTE)
    .action((nameOrId: string, { yes = false }: { yes?: boolean }) =>
      deletePolicy(context, nameOrId, yes, ({ policies }, request) => policies.deletePolicy(request)),
    );
  withExamples(remove, ...DELETE_EXAMPLES("policy"));
}

async function change(
  context: Context,
  nameOrId: string,
  call: (client: NodeClient, id: string) => Promise<{ readonly policy?: Policy | undefined }>,
): Promise<void> {
  const client = await context.connect(await loginCredential(context.settings));
  const view = fromProtoPolicy(requirePresent((await call(client, await resolvePolicy(client, nameOrId))).policy));
  context.output.data(view, () => block(policyFields(view)));
}
