import type { Binding, Policy, PrincipalType } from "@routeplane/contracts/policy";
import type { PolicyKind } from "@routeplane/policy-spec";
import { PROTO_POLICY_KINDS, PROTO_PRINCIPAL_TYPES } from "@routeplane/policy-spec/proto";
import type { Command } from "commander";
import { etagArgument, keysArgument, nameArgument, policyArgument } from "../../arguments.ts";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { block } from "../../output/table.ts";
import { type NamedPolicyKind, resolveKey, resolvePolicy } from "../../resolve-name.ts";
import { loginCredential } from "../../session.ts";
import { withWrittenPaths } from "../../specs/written-paths.ts";
import { readSpec } from "../../specs/read-spec.ts";
import { readJson } from "../../specs/spec-source.ts";
import { fromProtoIdentity } from "../../views/identity.ts";
import { pagesOf, showPages } from "../../views/list.ts";
import {
  fromProtoBinding,
  fromProtoPolicy,
  BUDGET_COLUMNS,
  POLICY_COLUMNS,
  policyFields,
} from "../../views/policies/policy.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";
import { noteUnbound, specReference } from "./spec-reference.ts";
import { DELETE_EXAMPLES, deletePolicy, LINEAGE_NOTE } from "./delete-policy.ts";

interface Principal {
  readonly principalType: PrincipalType;
  readonly principalId: string;
}
interface Named {
  readonly policy?: Policy | undefined;
}
interface Page {
  readonly pageSize: number;
  readonly pageToken: string;
}

/** Calls to the policy service for one kind of policy. */
export interface PolicyKindCalls<Spec, Change> {
  create(request: {
    name: string;
    spec: Spec;
    bindTo: Principal[];
  }): Promise<Named & { readonly bindings: readonly Binding[] }>;
  get(request: { readonly id: string }): Promise<Named>;
  list(page: Page): Promise<{ readonly policies: readonly Policy[]; readonly nextPageToken: string }>;
  update(request: Change & { id: string; name: string; etag: string }): Promise<Named>;
  remove(request: { readonly id: string; readonly unbind: boolean }): Promise<{ readonly unbound: readonly Binding[] }>;
}

/** A kind of policy with commands of its own, e.g. `budget`. `Flags` are the parsed values of its options. */
export interface PolicyKindDefinition<Spec, Change extends object, Flags> {
  readonly kind: PolicyKind;
  /** Name on the command line, e.g. `rate-limit`. */
  readonly command: string;
  readonly examples: { readonly create: readonly string[]; readonly update: readonly string[] };
  addFlags(command: Command): void;
  /** Adds the `--clear-…` flags, which only `update` has. */
  addClearFlags(command: Command): void;
  /** @throws CliError if the flags make no spec, or an invalid one */
  spec(flags: Flags, context: Context): Promise<Spec>;
  /** @throws CliError naming the path and the rule */
  read(json: unknown): Spec;
  change(flags: Flags, context: Context): Promise<Change>;
  calls(client: NodeClient): PolicyKindCalls<Spec, Change>;
}

interface CommonOptions {
  readonly name?: string;
  readonly spec?: string;
  readonly etag?: string;
  readonly bindNamespace?: boolean;
  readonly bindKey?: readonly string[];
}

export function addPolicyKindCommands<Spec, Change extends object, Flags>(
  group: Command,
  context: Context,
  kind: PolicyKindDefinition<Spec, Change, Flags>,
): void {
  withExamples(group, ...kind.examples.create);
  addCreate(group, context, kind);
  addReads(group, context, kind);
  addUpdate(group, context, kind);

  const remove = group
    .command("delete")
    .description(`Delete a ${nounOf(kind)}, its bindings and counters, for good`)
    .argument("<name|id>", "Name or id of the policy (pol_…)", policyArgument)
    .option("-y, --yes", "Skip the confirmation")
    .addHelpText("after", LINEAGE_NOTE)
    .action((nameOrId: string, { yes = false }: { yes?: boolean }) =>
      deletePolicy(context, nameOrId, yes, (client, request) => kind.calls(client).remove(request), namedKind(kind)),
    );
  withExamples(remove, ...DELETE_EXAMPLES(kind.command));
}

function addCreate<Spec, Change extends object, Flags>(
  group: Command,
  context: Context,
  kind: PolicyKindDefinition<Spec, Change, Flags>,
): void {
  const create = group
    .command("create")
    .description(`Create a ${nounOf(kind)}, which limits nothing until it is bound`)
    .requiredOption("--name <name>", "Name, unique in the namespace", nameArgument);
  kind.addFlags(create);
  create
    .option("--spec <file|->", "File with the whole spec in JSON; - is standard input")
    .option("--bind-namespace", "Bind it to the namespace: every key in it")
    .option("--bind-key <name|id>", "Key to bind it to, with all below it; repeatable", keysArgument)
    .addHelpText("after", specReference(kind.kind))
    .action((options: CommonOptions & Flags) => createPolicy(context, kind, options));
  withExamples(create, ...kind.examples.create);
}

function addReads<Spec, Change extends object, Flags>(
  group: Command,
  context: Context,
  kind: PolicyKindDefinition<Spec, Change, Flags>,
): void {
  const list = group
    .command("list")
    .description(`List the ${nounOf(kind)}s of the namespace, oldest first`)
    .action(async () => {
      const calls = kind.calls(await context.connect(await loginCredential(context.settings)));
      const read = async (page: Page) => {
        const { policies: rows, nextPageToken } = await calls.list(page);
        return { rows, nextPageToken };
      };
      const none = `There are no ${nounOf(kind)}s. \`routeplane cloud ${kind.command} create --help\` shows how to create one.`;
      const columns = kind.kind === "budget" ? BUDGET_COLUMNS : POLICY_COLUMNS;
      await showPages(context, pagesOf(read, fromProtoPolicy), columns, none);
    });
  withExamples(list, `cloud ${kind.command} list`, `cloud ${kind.command} list --json`);

  const get = group
    .command("get")
    .description(`Show a ${nounOf(kind)} with its spec and its bindings`)
    .argument("<name|id>", "Name or id of the policy (pol_…)", policyArgument)
    .action(async (nameOrId: string) => {
      const client = await context.connect(await loginCredential(context.settings));
      const id = await resolvePolicy(client, nameOrId, namedKind(kind));
      show(context, (await kind.calls(client).get({ id })).policy);
    });
  withExamples(get, `cloud ${kind.command} get pol_01jxyz…`);
}

function addUpdate<Spec, Change extends object, Flags>(
  group: Command,
  context: Context,
  kind: PolicyKindDefinition<Spec, Change, Flags>,
): void {
  const update = group
    .command("update")
    .description(`Change parts of a ${nounOf(kind)}; its counters stay`)
    .argument("<name|id>", "Name or id of the policy (pol_…)", policyArgument)
    .option("--name <name>", "Name, unique in the namespace", nameArgument);
  kind.addFlags(update);
  kind.addClearFlags(update);
  update
    .option("--spec <file|->", "File with the new spec in JSON; - is standard input")
    .option("--etag <etag>", "Etag that the policy must still have", etagArgument)
    .addHelpText("after", LINEAGE_NOTE + specReference(kind.kind))
    .action((nameOrId: string, options: CommonOptions & Flags) => updatePolicy(context, kind, nameOrId, options));
  withExamples(update, ...kind.examples.update);
}

async function createPolicy<Spec, Change extends object, Flags>(
  context: Context,
  kind: PolicyKindDefinition<Spec, Change, Flags>,
  options: CommonOptions & Flags,
): Promise<void> {
  const { name = "", spec: source, bindNamespace = false, bindKey = [] } = options;
  if (source !== undefined) refuseFlagsBesideSpec(options);
  const spec = source === undefined ? await kind.spec(options, context) : kind.read(await readJson(context, source));
  const client = await context.connect(await loginCredential(context.settings));
  const bindTo: Principal[] = [];
  for (const nameOrId of bindKey) {
    bindTo.push({ principalType: PROTO_PRINCIPAL_TYPES.api_key, principalId: await resolveKey(client, nameOrId) });
  }
  if (bindNamespace) bindTo.unshift(await ownNamespace(client));
  const created = await withWrittenPaths(context, kind.kind, kind.calls(client).create({ name, spec, bindTo }));
  const view = fromProtoPolicy(requirePresent(created.policy));
  const bindings = created.bindings.map(fromProtoBinding);
  context.output.data({ ...view, bindings }, () => block(policyFields(view)));
  if (bindings.length === 0) noteUnbound(context, view.id);
}

async function updatePolicy<Spec, Change extends object, Flags>(
  context: Context,
  kind: PolicyKindDefinition<Spec, Change, Flags>,
  nameOrId: string,
  options: CommonOptions & Flags,
): Promise<void> {
  const { name = "", etag = "", spec: source } = options;
  if (source !== undefined) {
    refuseFlagsBesideSpec(options);
    const spec = readSpec(kind.kind, await readJson(context, source));
    const client = await context.connect(await loginCredential(context.settings));
    const id = await resolvePolicy(client, nameOrId, namedKind(kind));
    const request = client.policies.updatePolicy({ id, name, etag, spec });
    return show(context, (await withWrittenPaths(context, kind.kind, request)).policy);
  }
  const change = await kind.change(options, context);
  if (name === "" && Object.keys(change).length === 0) {
    throw usageError("there is nothing to change: give --name, a flag that changes something, or --spec");
  }
  const client = await context.connect(await loginCredential(context.settings));
  const id = await resolvePolicy(client, nameOrId, namedKind(kind));
  const { policy } = await withWrittenPaths(
    context,
    kind.kind,
    kind.calls(client).update({ ...change, id, name, etag }),
  );
  show(context, policy);
}

const COMMON: ReadonlySet<string> = new Set(["name", "spec", "etag", "bindNamespace", "bindKey"]);

function refuseFlagsBesideSpec(options: object): void {
  if (Object.keys(options).every((name) => COMMON.has(name))) return;
  throw usageError("--spec holds the whole spec: give either that or flags for its parts");
}

async function ownNamespace({ identity }: NodeClient): Promise<Principal> {
  const { namespace } = fromProtoIdentity(await identity.whoAmI({}));
  if (namespace === null) throw usageError("--bind-namespace needs a key: an operator credential has no namespace");
  return { principalType: PROTO_PRINCIPAL_TYPES.namespace, principalId: namespace.id };
}

/** The kind in words, e.g. `rate limit`. */
function nounOf({ kind }: { readonly kind: PolicyKind }): string {
  return kind.replaceAll("_", " ");
}

function namedKind(definition: { readonly kind: PolicyKind; readonly command: string }): NamedPolicyKind {
  return { kind: PROTO_POLICY_KINDS[definition.kind], noun: nounOf(definition), command: definition.command };
}

function show(context: Context, policy: Policy | undefined): void {
  const view = fromProtoPolicy(requirePresent(policy));
  context.output.data(view, () => block(policyFields(view)));
}
