import type { Policy } from "@routeplane/contracts/policy";
import type { Command } from "commander";
import { idArgument } from "../../arguments.ts";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { block } from "../../output/table.ts";
import { loginCredential } from "../../session.ts";
import { fromProtoPolicy, policyFields } from "../../views/policies/policy.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";
import { deletePolicy, DELETE_EXAMPLES, LINEAGE_NOTE } from "./delete-policy.ts";

/** Whether a policy is in force, or there at all. */
export function addPolicyStateCommands(policy: Command, context: Context): void {
  const enable = policy
    .command("enable")
    .description("put a policy that was disabled in force again, wherever it is bound")
    .argument("<id>", "pol_…", idArgument)
    .action((id: string) => change(context, ({ policies }) => policies.enablePolicy({ id })));
  withExamples(enable, "cloud policy enable pol_01jxyz…");

  const disable = policy
    .command("disable")
    .description("switch a policy off wherever it is bound; its bindings, and what they have counted, stay")
    .argument("<id>", "pol_…", idArgument)
    .addHelpText("after", LINEAGE_NOTE)
    .action((id: string) => change(context, ({ policies }) => policies.disablePolicy({ id })));
  withExamples(disable, "cloud policy disable pol_01jxyz…");

  const remove = policy
    .command("delete")
    .description("delete a policy, with its bindings and what they have counted, for good")
    .argument("<id>", "pol_…", idArgument)
    .option("--yes", "do not ask")
    .addHelpText("after", LINEAGE_NOTE)
    .action((id: string, { yes = false }: { yes?: boolean }) =>
      deletePolicy(context, id, yes, ({ policies }, request) => policies.deletePolicy(request)),
    );
  withExamples(remove, ...DELETE_EXAMPLES("policy"));
}

async function change(
  context: Context,
  call: (client: NodeClient) => Promise<{ readonly policy?: Policy | undefined }>,
): Promise<void> {
  const client = await context.connect(await loginCredential(context.settings));
  const view = fromProtoPolicy(requirePresent((await call(client)).policy));
  context.output.data(view, () => block(policyFields(view)));
}
