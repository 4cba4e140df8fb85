import { type Command, Option } from "commander";
import { etagArgument, idArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { confirmLoss } from "../../input.ts";
import { block } from "../../output/table.ts";
import { loginCredential } from "../../session.ts";
import { allPages, showList } from "../../views/list.ts";
import {
  BINDING_COLUMNS,
  bindingFields,
  BOUND_POLICY_COLUMNS,
  fromProtoBinding,
  fromProtoBoundPolicy,
  principalText,
} from "../../views/policies/policy.ts";
import { requirePresent } from "../../views/values.ts";
import { MODES, PRINCIPAL_TYPES } from "../../views/words.ts";
import { withExamples } from "../examples.ts";
import { BIND_LINEAGE_NOTE, bindingsOf, LINEAGE_NOTE } from "./delete-policy.ts";

interface PrincipalOptions {
  readonly principalType: keyof typeof PRINCIPAL_TYPES;
  readonly principalId: string;
}

interface BindOptions extends PrincipalOptions {
  readonly shadow?: boolean;
  readonly etag?: string;
}

/** What policies are bound to, and what is bound to a principal. */
export function addBindingCommands(policy: Command, context: Context): void {
  const bind = policy
    .command("bind")
    .description("put a policy in force for a key and all below it, or for the whole namespace")
    .argument("<policy-id>", "pol_…", idArgument)
    .option("--shadow", "let through what the policy would refuse, and only log it")
    .option("--etag <etag>", "Refuse if the policy changed since it had this etag", etagArgument)
    .addHelpText("after", BIND_LINEAGE_NOTE)
    .action((id: string, options: BindOptions) => bindPolicy(context, id, options));
  withPrincipal(bind, "what to bind it to");
  withExamples(
    bind,
    "cloud policy bind pol_01jxyz… --principal-type api_key --principal-id key_01jxyz…",
    "cloud policy bind pol_01jxyz… --principal-type namespace --principal-id ns_01jxyz… --shadow",
    "cloud policy bind pol_01jxyz… --principal-type api_key --principal-id key_01jxyz… --etag v3",
  );

  const unbind = policy
    .command("unbind")
    .description("Remove a binding and what it has counted, for good")
    .argument("<policy-id>", "pol_…", idArgument)
    .argument("<binding-id>", "bnd_…, as `policy bindings` shows it", idArgument)
    .option("--yes", "Skip the confirmation")
    .addHelpText("after", LINEAGE_NOTE)
    .action((id: string, bindingId: string, { yes = false }: { yes?: boolean }) =>
      unbindPolicy(context, id, bindingId, yes),
    );
  withExamples(
    unbind,
    "cloud policy unbind pol_01jxyz… bnd_01jxyz…",
    "cloud policy unbind pol_01jxyz… bnd_01jxyz… --yes --json",
  );

  const bindings = policy
    .command("bindings")
    .description("what a policy is bound to, oldest binding first")
    .argument("<policy-id>", "pol_…", idArgument)
    .action((id: string) => listBindings(context, id));
  withExamples(bindings, "cloud policy bindings pol_01jxyz…", "cloud policy bindings pol_01jxyz… --json");

  const forPrincipal = policy
    .command("for-principal")
    .description("the policies bound to a key or the namespace itself; `policy effective` shows what it inherits too")
    .action((options: PrincipalOptions) => listPrincipalPolicies(context, options));
  withPrincipal(forPrincipal, "what to look at");
  withExamples(
    forPrincipal,
    "cloud policy for-principal --principal-type api_key --principal-id key_01jxyz…",
    "cloud policy for-principal --principal-type namespace --principal-id ns_01jxyz… --json",
  );
}

function withPrincipal(command: Command, what: string): void {
  const types = new Option("--principal-type <type>", what).choices(Object.keys(PRINCIPAL_TYPES));
  command.addOption(types.makeOptionMandatory()).requiredOption("--principal-id <id>", "key_… or ns_…", idArgument);
}

async function bindPolicy(context: Context, policyId: string, options: BindOptions): Promise<void> {
  const { principalType, principalId, shadow = false, etag = "" } = options;
  const { policies } = await context.connect(await loginCredential(context.settings));
  const principal = { principalType: PRINCIPAL_TYPES[principalType], principalId };
  const mode = MODES[shadow ? "shadow" : "enforce"];
  const { binding, policy } = await policies.bindPolicy({ policyId, ...principal, mode, etag });
  const view = fromProtoBinding(requirePresent(binding));
  context.output.data(view, () => block(bindingFields(view)));
  if (policy?.disabledAt !== undefined) {
    context.output.note(`The policy is disabled: \`routeplane cloud policy enable ${policyId}\` puts it in force.`);
  }
}

async function unbindPolicy(context: Context, policyId: string, bindingId: string, yes: boolean): Promise<void> {
  const client = await context.connect(await loginCredential(context.settings));
  const { policies } = client;
  if (!yes) {
    const binding = (await bindingsOf(client, policyId)).find(({ id }) => id === bindingId);
    const principal = binding === undefined ? bindingId : principalText(binding);
    const loss = `${policyId} from ${principal}`;
    const question = `Unbind ${loss}? What it has counted there is lost.`;
    await confirmLoss(context, question, `this unbinds ${loss}, and loses what it has counted there.`);
  }
  const view = fromProtoBinding(requirePresent((await policies.unbindPolicy({ policyId, bindingId })).binding));
  context.output.data(view, () => block(bindingFields(view)));
  context.output.note("Unbound: it applies there no more.");
}

async function listBindings(context: Context, policyId: string): Promise<void> {
  const client = await context.connect(await loginCredential(context.settings));
  const list = { data: await bindingsOf(client, policyId), next_page_token: null };
  showList(context, list, BINDING_COLUMNS, "It is bound to nothing.");
}

async function listPrincipalPolicies(context: Context, options: PrincipalOptions): Promise<void> {
  const { policies } = await context.connect(await loginCredential(context.settings));
  const principal = { principalType: PRINCIPAL_TYPES[options.principalType], principalId: options.principalId };
  const list = await allPages(async (page) => {
    const { boundPolicies: rows, nextPageToken } = await policies.listPrincipalPolicies({ ...principal, ...page });
    return { rows, nextPageToken };
  }, fromProtoBoundPolicy);
  showList(context, list, BOUND_POLICY_COLUMNS, "Nothing is bound to it itself.");
}
