import { type Command, Option } from "commander";
import { idArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { block } from "../output/table.ts";
import { loginCredential } from "../session.ts";
import { allPages, showList } from "../views/list.ts";
import {
  bindingFields,
  fromProtoBinding,
  fromProtoPolicy,
  POLICY_COLUMNS,
  POLICY_KINDS,
  policyFields,
  PRINCIPAL_TYPES,
} from "../views/policy.ts";
import { fromProtoSet } from "../views/values.ts";
import { addEffectiveCommand } from "./effective-policy.ts";
import { withExamples } from "./examples.ts";

interface BindOptions {
  readonly principalType: keyof typeof PRINCIPAL_TYPES;
  readonly principalId: string;
}

export function addPolicyCommands(cloud: Command, context: Context): void {
  const policy = cloud.command("policy").description("policies of the namespace: what keys may do");
  withExamples(
    policy,
    "cloud policy list",
    "cloud policy bind pol_01jxyz… --principal-type api_key --principal-id key_01jxyz…",
  );

  const list = policy
    .command("list")
    .description("all policies of the namespace, oldest first")
    .addOption(new Option("--kind <kind>", "only this kind").choices(Object.keys(POLICY_KINDS)))
    .action(({ kind }: { kind?: keyof typeof POLICY_KINDS }) => listPolicies(context, kind));
  withExamples(list, "cloud policy list", "cloud policy list --kind budget --json");

  const get = policy
    .command("get")
    .description("one policy")
    .argument("<id>", "pol_…", idArgument)
    .action((id: string) => getPolicy(context, id));
  withExamples(get, "cloud policy get pol_01jxyz…");

  const bind = policy
    .command("bind")
    .description("put a policy in force for a key and all below it, or for the whole namespace")
    .argument("<policy-id>", "pol_…", idArgument)
    .addOption(
      new Option("--principal-type <type>", "what to bind it to")
        .choices(Object.keys(PRINCIPAL_TYPES))
        .makeOptionMandatory(),
    )
    .requiredOption("--principal-id <id>", "key_… or ns_…", idArgument)
    .action((id: string, options: BindOptions) => bindPolicy(context, id, options));
  withExamples(
    bind,
    "cloud policy bind pol_01jxyz… --principal-type api_key --principal-id key_01jxyz…",
    "cloud policy bind pol_01jxyz… --principal-type namespace --principal-id ns_01jxyz…",
  );

  addEffectiveCommand(policy, context);
}

async function listPolicies(context: Context, kind: keyof typeof POLICY_KINDS | undefined): Promise<void> {
  const { policies } = await context.connect(await loginCredential(context.settings));
  const filter = kind === undefined ? {} : { kind: POLICY_KINDS[kind] };
  const list = await allPages(async (page) => {
    const { policies: rows, nextPageToken } = await policies.listPolicies({ ...filter, ...page });
    return { rows, nextPageToken };
  }, fromProtoPolicy);
  showList(context, list, POLICY_COLUMNS, "There are no policies. `routeplane cloud budget create --help` makes one.");
}

async function getPolicy(context: Context, id: string): Promise<void> {
  const { policies } = await context.connect(await loginCredential(context.settings));
  const view = fromProtoPolicy(fromProtoSet((await policies.getPolicy({ id })).policy));
  context.output.data(view, () => block(policyFields(view)));
}

async function bindPolicy(
  context: Context,
  policyId: string,
  { principalType, principalId }: BindOptions,
): Promise<void> {
  const { policies } = await context.connect(await loginCredential(context.settings));
  const { binding } = await policies.bindPolicy({
    policyId,
    principalType: PRINCIPAL_TYPES[principalType],
    principalId,
  });
  const view = fromProtoBinding(fromProtoSet(binding));
  context.output.data(view, () => block(bindingFields(view)));
}
