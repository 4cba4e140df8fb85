import type { PolicyKind } from "@routeplane/policy-spec";
import { PROTO_POLICY_KINDS } from "@routeplane/policy-spec/proto";
import { type Command, Option } from "commander";
import { etagArgument, nameArgument, policyArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { block } from "../../output/table.ts";
import { resolvePolicy } from "../../resolve-name.ts";
import { loginCredential } from "../../session.ts";
import { withWrittenPaths } from "../../specs/written-paths.ts";
import { readSpec } from "../../specs/read-spec.ts";
import { readJson } from "../../specs/spec-source.ts";
import { pagesOf, showPages } from "../../views/list.ts";
import { fromProtoPolicy, POLICY_COLUMNS, policyFields } from "../../views/policies/policy.ts";
import { requirePresent } from "../../views/values.ts";
import { addEffectiveCommand } from "./effective.ts";
import { addEditCommand } from "./edit.ts";
import { addExplainCommand } from "./explain.ts";
import { withExamples } from "../examples.ts";
import { addBindingCommands } from "./bindings.ts";
import { noteUnbound, specReference } from "./spec-reference.ts";
import { addSimulateCommand } from "./simulate.ts";
import { addPolicyLifecycleCommands } from "./lifecycle.ts";

interface CreateOptions {
  readonly name: string;
  readonly kind: PolicyKind;
  readonly spec: string;
}

interface UpdateOptions {
  readonly name?: string;
  readonly spec?: string;
  readonly etag?: string;
}

export function addPolicyCommands(policy: Command, context: Context): void {
  withExamples(
    policy,
    "cloud policy list",
    "cloud policy create --name no-preview --kind guardrail --spec guardrail.json",
    "cloud policy bind pol_01jxyz… --principal-type api_key --principal-id key_01jxyz…",
  );
  addReads(policy, context);
  addWrites(policy, context);
  addPolicyLifecycleCommands(policy, context);
  addBindingCommands(policy, context);
  addEffectiveCommand(policy, context);
  addExplainCommand(policy, context);
  addEditCommand(policy, context);
  addSimulateCommand(policy, context);
}

function addReads(policy: Command, context: Context): void {
  const list = policy
    .command("list")
    .description("List the policies of the namespace, oldest first")
    .addOption(kindOption("Kind of the policies"))
    .action(({ kind }: { kind?: PolicyKind }) => listPolicies(context, kind));
  withExamples(list, "cloud policy list", "cloud policy list --kind budget --json");

  const get = policy
    .command("get")
    .description("Show a policy with its spec and its bindings")
    .argument("<name|id>", "Name or id of the policy (pol_…)", policyArgument)
    .action((id: string) => getPolicy(context, id));
  withExamples(get, "cloud policy get daily-cap", "cloud policy get pol_01jxyz…");
}

function addWrites(policy: Command, context: Context): void {
  const create = policy
    .command("create")
    .description("Create a policy, which limits nothing until it is bound")
    .requiredOption("--name <name>", "Name, unique in the namespace", nameArgument)
    .addOption(kindOption("Kind of the policy, which never changes").makeOptionMandatory())
    .requiredOption("--spec <file|->", "File with the spec in JSON; - is standard input")
    .addHelpText("after", specReference())
    .action((options: CreateOptions) => createPolicy(context, options));
  withExamples(
    create,
    "cloud policy create --name no-preview --kind guardrail --spec guardrail.json",
    `cloud policy create --name per-minute --kind rate_limit --spec - <<< '{"window_secs": 60, "max_requests": 100}'`,
  );

  const update = policy
    .command("update")
    .description("Rename a policy, or replace its spec; its counters stay")
    .argument("<name|id>", "Name or id of the policy (pol_…)", policyArgument)
    .option("--name <name>", "Name, unique in the namespace", nameArgument)
    .option("--spec <file|->", "File with the new spec in JSON; - is standard input")
    .option("--etag <etag>", "Etag that the policy must still have", etagArgument)
    .addHelpText("after", specReference())
    .action((id: string, options: UpdateOptions) => updatePolicy(context, id, options));
  withExamples(
    update,
    "cloud policy update pol_01jxyz… --spec guardrail.json",
    "cloud policy update pol_01jxyz… --name no-previews --etag v3",
  );
}

function kindOption(description: string): Option {
  return new Option("--kind <kind>", description).choices(Object.keys(PROTO_POLICY_KINDS));
}

async function listPolicies(context: Context, kind: PolicyKind | undefined): Promise<void> {
  const { policies } = await context.connect(await loginCredential(context.settings));
  const filter = kind === undefined ? {} : { kind: PROTO_POLICY_KINDS[kind] };
  const pages = pagesOf(async (page) => {
    const { policies: rows, nextPageToken } = await policies.listPolicies({ ...filter, ...page });
    return { rows, nextPageToken };
  }, fromProtoPolicy);
  await showPages(
    context,
    pages,
    POLICY_COLUMNS,
    "There are no policies. `routeplane cloud budget create --help` shows how to create one.",
  );
}

async function getPolicy(context: Context, nameOrId: string): Promise<void> {
  const client = await context.connect(await loginCredential(context.settings));
  const id = await resolvePolicy(client, nameOrId);
  const view = fromProtoPolicy(requirePresent((await client.policies.getPolicy({ id })).policy));
  context.output.data(view, () => block(policyFields(view)));
}

async function createPolicy(context: Context, { name, kind, spec: source }: CreateOptions): Promise<void> {
  const spec = readSpec(kind, await readJson(context, source));
  const { policies } = await context.connect(await loginCredential(context.settings));
  const { policy } = await withWrittenPaths(context, kind, policies.createPolicy({ name, spec }));
  const view = fromProtoPolicy(requirePresent(policy));
  context.output.data(view, () => block(policyFields(view)));
  noteUnbound(context, view.id);
}

async function updatePolicy(
  context: Context,
  nameOrId: string,
  { name = "", spec, etag = "" }: UpdateOptions,
): Promise<void> {
  if (name === "" && spec === undefined) throw usageError("there is nothing to change: give --name or --spec");
  const json = spec === undefined ? undefined : await readJson(context, spec);
  const client = await context.connect(await loginCredential(context.settings));
  const { policies } = client;
  const id = await resolvePolicy(client, nameOrId);
  // The fields of a spec depend on the kind of the policy.
  const kind = fromProtoPolicy(requirePresent((await policies.getPolicy({ id })).policy)).kind as PolicyKind;
  const request = { id, name, etag, ...(json !== undefined && { spec: readSpec(kind, json) }) };
  const { policy } = await withWrittenPaths(context, kind, policies.updatePolicy(request));
  const view = fromProtoPolicy(requirePresent(policy));
  context.output.data(view, () => block(policyFields(view)));
}
