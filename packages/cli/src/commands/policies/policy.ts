import { type Command, Option } from "commander";
import { etagArgument, idArgument, nameArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { block } from "../../output/table.ts";
import { loginCredential } from "../../session.ts";
import { namingAsWritten } from "../../specs/node-paths.ts";
import { specAt } from "../../specs/read-spec.ts";
import { readJson } from "../../specs/spec-source.ts";
import { allPages, showList } from "../../views/list.ts";
import { fromProtoPolicy, POLICY_COLUMNS, policyFields } from "../../views/policies/policy.ts";
import { requirePresent } from "../../views/values.ts";
import { POLICY_KINDS, type PolicyKindWord } from "../../views/words.ts";
import { addEffectiveCommand } from "./effective.ts";
import { withExamples } from "../examples.ts";
import { addBindingCommands } from "./bindings.ts";
import { noteUnbound, specReference } from "./spec-reference.ts";
import { addSimulateCommand } from "./simulate.ts";
import { addPolicyStateCommands } from "./lifecycle.ts";

interface CreateOptions {
  readonly name: string;
  readonly kind: PolicyKindWord;
  readonly spec: string;
}

interface UpdateOptions {
  readonly name?: string;
  readonly spec?: string;
  readonly etag?: string;
}

export function addPolicyCommands(cloud: Command, context: Context): void {
  const policy = cloud.command("policy").description("policies of the namespace: what keys may do");
  withExamples(
    policy,
    "cloud policy list",
    "cloud policy create --name no-preview --kind guardrail --spec guardrail.json",
    "cloud policy bind pol_01jxyz… --principal-type api_key --principal-id key_01jxyz…",
  );
  addReads(policy, context);
  addWrites(policy, context);
  addPolicyStateCommands(policy, context);
  addBindingCommands(policy, context);
  addEffectiveCommand(policy, context);
  addSimulateCommand(policy, context);
}

function addReads(policy: Command, context: Context): void {
  const list = policy
    .command("list")
    .description("all policies of the namespace, oldest first")
    .addOption(kindOption("only this kind"))
    .action(({ kind }: { kind?: PolicyKindWord }) => listPolicies(context, kind));
  withExamples(list, "cloud policy list", "cloud policy list --kind budget --json");

  const get = policy
    .command("get")
    .description("one policy, with all that it says")
    .argument("<id>", "pol_…", idArgument)
    .action((id: string) => getPolicy(context, id));
  withExamples(get, "cloud policy get pol_01jxyz…");
}

function addWrites(policy: Command, context: Context): void {
  const create = policy
    .command("create")
    .description("create a policy; it limits nothing until it is bound")
    .requiredOption("--name <name>", "unique in the namespace", nameArgument)
    .addOption(kindOption("what it is about; never changes").makeOptionMandatory())
    .requiredOption("--spec <file|->", "what it says, in JSON; - is standard input")
    .addHelpText("after", specReference())
    .action((options: CreateOptions) => createPolicy(context, options));
  withExamples(
    create,
    "cloud policy create --name no-preview --kind guardrail --spec guardrail.json",
    `cloud policy create --name per-minute --kind rate_limit --spec - <<< '{"window_secs": 60, "max_requests": 100}'`,
  );

  const update = policy
    .command("update")
    .description("rename a policy, or replace all that it says; what was counted stays counted")
    .argument("<id>", "pol_…", idArgument)
    .option("--name <name>", "unique in the namespace", nameArgument)
    .option("--spec <file|->", "what it says from now on, in JSON; - is standard input")
    .option("--etag <etag>", "refuse if the policy is not what it was when it had this etag", etagArgument)
    .addHelpText("after", specReference())
    .action((id: string, options: UpdateOptions) => updatePolicy(context, id, options));
  withExamples(
    update,
    "cloud policy update pol_01jxyz… --spec guardrail.json",
    "cloud policy update pol_01jxyz… --name no-previews --etag v3",
  );
}

function kindOption(description: string): Option {
  return new Option("--kind <kind>", description).choices(Object.keys(POLICY_KINDS));
}

async function listPolicies(context: Context, kind: PolicyKindWord | undefined): Promise<void> {
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
  const view = fromProtoPolicy(requirePresent((await policies.getPolicy({ id })).policy));
  context.output.data(view, () => block(policyFields(view)));
}

async function createPolicy(context: Context, { name, kind, spec: source }: CreateOptions): Promise<void> {
  const spec = specAt(kind, await readJson(context, source));
  const { policies } = await context.connect(await loginCredential(context.settings));
  const { policy } = await namingAsWritten(context, kind, policies.createPolicy({ name, spec }));
  const view = fromProtoPolicy(requirePresent(policy));
  context.output.data(view, () => block(policyFields(view)));
  noteUnbound(context, view.id);
}

async function updatePolicy(
  context: Context,
  id: string,
  { name = "", spec, etag = "" }: UpdateOptions,
): Promise<void> {
  if (name === "" && spec === undefined) throw usageError("there is nothing to change: give --name or --spec");
  const written = spec === undefined ? undefined : await readJson(context, spec);
  const { policies } = await context.connect(await loginCredential(context.settings));
  // A spec is read by the kind of the policy that it is for.
  const { kind } = fromProtoPolicy(requirePresent((await policies.getPolicy({ id })).policy));
  const known = kind as PolicyKindWord;
  const request = { id, name, etag, ...(written !== undefined && { spec: specAt(known, written) }) };
  const { policy } = await namingAsWritten(context, known, policies.updatePolicy(request));
  const view = fromProtoPolicy(requirePresent(policy));
  context.output.data(view, () => block(policyFields(view)));
}
