import type { PolicyBinding } from "@routeplane/contracts/policy";
import { PROTO_BINDING_MODES } from "@routeplane/policy-spec/proto";
import type { Command } from "commander";
import type { NodeClient } from "../../client.ts";
import { etagArgument, idArgument, policyArgument, principalArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { confirmLoss } from "../../input.ts";
import { block } from "../../output/table.ts";
import { resolvePolicy } from "../../resolve-name.ts";
import { loginCredential } from "../../session.ts";
import { pagesOf, type ReadPage, showPages } from "../../views/list.ts";
import {
  type BindingView,
  BINDING_COLUMNS,
  bindingFields,
  BOUND_POLICY_COLUMNS,
  fromProtoBinding,
  fromProtoBoundPolicy,
  fromProtoUsedBinding,
  usedBindingColumns,
} from "../../views/policies/policy.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";
import {
  addPrincipalOptions,
  PRINCIPAL_ARGUMENT,
  type PrincipalOptions,
  requirePrincipal,
  toProtoPrincipal,
} from "./principal.ts";
import { BIND_LINEAGE_NOTE, bindingsOf, LINEAGE_NOTE, principalsText } from "./delete-policy.ts";

interface BindOptions extends PrincipalOptions {
  readonly shadow?: boolean;
  readonly etag?: string;
}

interface UnbindOptions extends PrincipalOptions {
  readonly all?: boolean;
  readonly yes?: boolean;
}

/** Adds `bind`, `unbind`, and the lists of bindings of a policy and of a principal. */
export function addBindingCommands(policy: Command, context: Context): void {
  const bind = policy
    .command("bind")
    .description("Bind a policy to a key and all below it, or the namespace")
    .argument("<name|id>", "Name or id of the policy (pol_…)", policyArgument)
    .argument("[key|namespace]", PRINCIPAL_ARGUMENT, principalArgument)
    .option("--shadow", "Log what the policy would refuse, and refuse nothing")
    .option("--etag <etag>", "Etag that the policy must still have", etagArgument)
    .addHelpText("after", BIND_LINEAGE_NOTE)
    .action((id: string, principal: string | undefined, options: BindOptions) =>
      bindPolicy(context, id, principal, options),
    );
  addPrincipalOptions(bind, "Type of the principal to bind it to");
  withExamples(
    bind,
    "cloud policy bind daily-cap my-agent",
    "cloud policy bind daily-cap --principal-type api_key --principal-id my-agent",
    "cloud policy bind pol_01jxyz… --principal-type namespace --principal-id ns_01jxyz… --shadow",
    "cloud policy bind pol_01jxyz… --principal-type api_key --principal-id key_01jxyz… --etag v3",
  );

  const unbind = policy
    .command("unbind")
    .description("Remove bindings and their counters, for good")
    .argument("<name|id>", "Name or id of the policy (pol_…)", policyArgument)
    .argument("[binding-ids...]", "Ids (bnd_…) from `policy bindings`, or a key or namespace")
    .option("--all", "Remove every binding of the policy")
    .option("-y, --yes", "Skip the confirmation")
    .addHelpText("after", LINEAGE_NOTE)
    .action((id: string, bindingIds: readonly string[], options: UnbindOptions) =>
      unbindPolicy(context, id, bindingIds, options),
    );
  addPrincipalOptions(unbind, "Type of the principal whose binding to remove");
  withExamples(
    unbind,
    "cloud policy unbind pol_01jxyz… bnd_01jxyz…",
    "cloud policy unbind pol_01jxyz… bnd_01jxyz… bnd_01jxza… --yes --json",
    "cloud policy unbind daily-cap my-agent",
    "cloud policy unbind pol_01jxyz… --principal-type api_key --principal-id key_01jxyz…",
    "cloud policy unbind pol_01jxyz… --all --yes",
  );

  const bindings = policy
    .command("bindings")
    .description("List the bindings of a policy, oldest first")
    .argument("<name|id>", "Name or id of the policy (pol_…)", policyArgument)
    .action((id: string) => listBindings(context, id));
  withExamples(bindings, "cloud policy bindings pol_01jxyz…", "cloud policy bindings pol_01jxyz… --json");

  const forPrincipal = policy
    .command("for-principal")
    .description("List the policies bound to a key or the namespace itself")
    .argument("[key|namespace]", PRINCIPAL_ARGUMENT, principalArgument)
    .addHelpText("after", "\n`policy effective` also shows what a key inherits.")
    .action((principal: string | undefined, options: PrincipalOptions) =>
      listPrincipalPolicies(context, principal, options),
    );
  addPrincipalOptions(forPrincipal, "Type of the principal");
  withExamples(
    forPrincipal,
    "cloud policy for-principal my-agent",
    "cloud policy for-principal --principal-type api_key --principal-id key_01jxyz…",
    "cloud policy for-principal --principal-type namespace --principal-id ns_01jxyz… --json",
  );
}

async function bindPolicy(
  context: Context,
  policyNameOrId: string,
  named: string | undefined,
  options: BindOptions,
): Promise<void> {
  const { shadow = false, etag = "" } = options;
  const reference = requirePrincipal(named, options);
  const client = await context.connect(await loginCredential(context.settings));
  const policyId = await resolvePolicy(client, policyNameOrId);
  const principal = await toProtoPrincipal(client, reference);
  const mode = PROTO_BINDING_MODES[shadow ? "shadow" : "enforce"];
  const { binding, policy } = await client.policies.bindPolicy({ policyId, ...principal, mode, etag });
  const view = fromProtoBinding(requirePresent(binding));
  context.output.data(view, () => block(bindingFields(view)));
  if (policy?.disabledAt !== undefined) {
    context.output.note(`The policy is disabled: \`routeplane cloud policy enable ${policyId}\` puts it in force.`);
  }
}

async function unbindPolicy(
  context: Context,
  policyNameOrId: string,
  bindingIds: readonly string[],
  options: UnbindOptions,
): Promise<void> {
  const { all = false, yes = false } = options;
  const named = principalAmong(bindingIds);
  const ids = named === undefined ? [...new Set(bindingIds.map((id) => id.trim()))] : [];
  const [bindingId] = ids;
  const isOfPrincipal = named !== undefined || options.principalType !== undefined || options.principalId !== undefined;
  if ([ids.length > 0, all, isOfPrincipal].filter(Boolean).length !== 1) {
    throw usageError("name what to unbind in one way: binding ids, a key or namespace, or --all");
  }
  const reference = isOfPrincipal ? requirePrincipal(named, options) : undefined;
  const client = await context.connect(await loginCredential(context.settings));
  const { policies } = client;
  const policyId = await resolvePolicy(client, policyNameOrId);
  const principal = reference && (await toProtoPrincipal(client, reference));
  if (!yes) {
    const isChosen = (binding: BindingView): boolean =>
      all || binding.principal_id === principal?.principalId || ids.includes(binding.id);
    const bound = (await bindingsOf(client, policyId)).filter(isChosen);
    const loss = `${policyId} from ${bound.length === 0 ? ids.join(", ") || "nothing" : principalsText(bound)}`;
    const question = `Unbind ${loss}? Its counters there are lost.`;
    await confirmLoss(context, question, `this unbinds ${loss}, and its counters there are lost.`);
  }
  if (ids.length === 1 && bindingId !== undefined) {
    const view = fromProtoBinding(requirePresent((await policies.unbindPolicy({ policyId, bindingId })).binding));
    context.output.data(view, () => block(bindingFields(view)));
    context.output.note("Unbound: it no longer applies there.");
    return;
  }
  const { unbound } = await policies.unbindAll({ policyId, bindingIds: ids, all, ...principal });
  const pages = pagesOf(() => Promise.resolve({ rows: unbound, nextPageToken: "" }), fromProtoBinding);
  await showPages(context, pages, BINDING_COLUMNS, "Nothing was bound there.");
  if (unbound.length > 0) context.output.note(`Unbound ${unbound.length}: the policy no longer applies there.`);
}

/** Principal that the arguments of `unbind` name; undefined if they are ids of bindings. */
function principalAmong([word, ...others]: readonly string[]): string | undefined {
  return word === undefined || others.length > 0 || word.trim().startsWith("bnd_") ? undefined : idArgument(word);
}

async function listBindings(context: Context, nameOrId: string): Promise<void> {
  const client = await context.connect(await loginCredential(context.settings));
  const policyId = await resolvePolicy(client, nameOrId);
  const pages = pagesOf(readUsedBindings(client, policyId), fromProtoUsedBinding);
  await showPages(
    context,
    pages,
    usedBindingColumns(),
    "The policy has no bindings.",
    "Bind it: routeplane cloud policy bind --help",
  );
}

/** Reads bindings with the budget use of each, by one call per page. */
function readUsedBindings(
  { policies }: NodeClient,
  policyId: string,
): ReadPage<Pick<PolicyBinding, "binding" | "budgetUse">> {
  return async (page) => {
    const { bindings, budgetUses, nextPageToken } = await policies.listBindings({ policyId, ...page });
    return { rows: bindings.map((binding) => ({ binding, budgetUse: budgetUses[binding.id] })), nextPageToken };
  };
}

async function listPrincipalPolicies(
  context: Context,
  named: string | undefined,
  options: PrincipalOptions,
): Promise<void> {
  const reference = requirePrincipal(named, options);
  const client = await context.connect(await loginCredential(context.settings));
  const principal = await toProtoPrincipal(client, reference);
  const pages = pagesOf(async (page) => {
    const { boundPolicies: rows, nextPageToken } = await client.policies.listPrincipalPolicies({
      ...principal,
      ...page,
    });
    return { rows, nextPageToken };
  }, fromProtoBoundPolicy);
  await showPages(
    context,
    pages,
    BOUND_POLICY_COLUMNS,
    "No policy is bound to the principal itself.",
    "All that applies to it: routeplane cloud policy effective --help",
  );
}
