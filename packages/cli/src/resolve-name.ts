import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ServiceCredential } from "@routeplane/contracts/auth";
import type { PolicyKind } from "@routeplane/contracts/policy";
import { foldName } from "@routeplane/domain";
import type { NodeClient } from "./client.ts";
import { CliError, ExitCode } from "./errors.ts";
import { suggest } from "./suggest.ts";
import { fromProtoIdentity } from "./views/identity.ts";
import { type ListPage, pagesOf } from "./views/list.ts";

/**
 * Look-up of names and ids from a command line. Ids win over names: a text that begins like an id is passed to the node as an id. Names are
 * compared as the node compares names of policies; an exact match wins over matches that differ in case. A name of several resources is
 * refused, with their ids.
 */

/** Resource with a name, for errors about ambiguous names and for suggestions. */
interface Named {
  readonly id: string;
  readonly name: string;
  /** True for a revoked key, which keeps its name. */
  readonly isRevoked?: boolean;
}

/** Kind of resource with names. */
interface NamedKind {
  readonly noun: string;
  readonly plural: string;
  /** Prefix of ids, with its underscore. */
  readonly prefix: string;
  readonly where: "in this namespace" | "on this node";
  /** Scope needed to list them. */
  readonly scope: string;
  /** Command that lists all of them. */
  readonly list: string;
  pages(client: NodeClient): AsyncIterable<ListPage<Named>>;
}

const KEY: NamedKind = {
  noun: "key",
  plural: "keys",
  prefix: "key_",
  where: "in this namespace",
  scope: "keys:read",
  list: "routeplane cloud keys list",
  pages: ({ keys }) =>
    pagesOf(
      async (page) => {
        const { keys: rows, nextPageToken } = await keys.listKeys(page);
        return { rows, nextPageToken };
      },
      ({ id, name, revokedAt }) => ({ id, name, isRevoked: revokedAt !== undefined }),
    ),
};

const POLICY: NamedKind = {
  noun: "policy",
  plural: "policies",
  prefix: "pol_",
  where: "in this namespace",
  scope: "policy:read",
  list: "routeplane cloud policy list",
  pages: (client) => policyPages(client),
};

function policiesOf({ kind, noun, command }: NamedPolicyKind): NamedKind {
  const list = `routeplane cloud ${command} list`;
  return { ...POLICY, noun, plural: `${noun}s`, list, pages: (client) => policyPages(client, { kind }) };
}

function policyPages({ policies }: NodeClient, filter: { readonly kind?: PolicyKind } = {}) {
  return pagesOf(
    async (page) => {
      const { policies: rows, nextPageToken } = await policies.listPolicies({ ...page, ...filter });
      return { rows, nextPageToken };
    },
    ({ id, name }) => ({ id, name }),
  );
}

const SERVICE_CREDENTIAL: NamedKind = {
  noun: "service credential",
  plural: "service credentials",
  prefix: "svc_",
  where: "on this node",
  scope: "keys:write",
  list: "routeplane admin service-credentials list",
  pages: ({ services }) =>
    pagesOf(
      async (page) => {
        const { serviceCredentials, nextPageToken } = await services.listServiceCredentials(page);
        // A name is unique among active credentials; ended ones may have had the same name.
        return { rows: serviceCredentials.filter(isActive), nextPageToken };
      },
      ({ id, name }) => ({ id, name }),
    ),
};

const DELETED_NAMESPACE: NamedKind = {
  noun: "deleted namespace",
  plural: "deleted namespaces",
  prefix: "ns_",
  where: "on this node",
  scope: "namespaces:read",
  list: "routeplane cloud namespace list --deleted",
  pages: ({ namespaces }) =>
    pagesOf(
      async (page) => {
        const { namespaces: rows, nextPageToken } = await namespaces.listNamespaces({ ...page, showDeleted: true });
        return { rows: rows.filter(({ deletedAt }) => deletedAt !== undefined), nextPageToken };
      },
      ({ id, name }) => ({ id, name }),
    ),
};

function isActive({ revokedAt, expiresAt }: ServiceCredential): boolean {
  return revokedAt === undefined && (expiresAt === undefined || timestampMs(expiresAt) > Date.now());
}

/** Id of the key that a text names, by id or by name. @throws CliError RESOURCE_NOT_FOUND, NAME_AMBIGUOUS or SCOPE_MISSING */
export async function resolveKey(client: NodeClient, nameOrId: string): Promise<string> {
  return nameOrId.startsWith(KEY.prefix) ? nameOrId : findByName(client, KEY, nameOrId);
}

/** Kind of the policies that a command is about, e.g. of `cloud rate-limit`. */
export interface NamedPolicyKind {
  readonly kind: PolicyKind;
  /** E.g. `rate limit`. */
  readonly noun: string;
  /** E.g. `rate-limit`. */
  readonly command: string;
}

/**
 * Id of the policy that a text names, by id or by name.
 *
 * @param only kind in which a name is looked up; all kinds by default
 * @throws CliError RESOURCE_NOT_FOUND, NAME_AMBIGUOUS or SCOPE_MISSING
 */
export async function resolvePolicy(client: NodeClient, nameOrId: string, only?: NamedPolicyKind): Promise<string> {
  if (nameOrId.startsWith(POLICY.prefix)) return nameOrId;
  return findByName(client, only === undefined ? POLICY : policiesOf(only), nameOrId);
}

/**
 * Id of a resource with changes in the audit log: a key or a policy by name, any other by id. A name of both a key and a policy is refused.
 *
 * @throws CliError RESOURCE_NOT_FOUND, NAME_AMBIGUOUS or SCOPE_MISSING
 */
export async function resolveChanged(client: NodeClient, nameOrId: string): Promise<string> {
  if (/^(?:acc|ns|key|op|svc|pol|bnd|dl)_/.test(nameOrId)) return nameOrId;
  const [keys, policies] = [await listNamed(client, KEY, nameOrId), await listNamed(client, POLICY, nameOrId)];
  const matches = [...matching(keys, nameOrId), ...matching(policies, nameOrId)];
  const [match] = matches;
  if (match === undefined) throw noneNamed({ ...POLICY, noun: "key or policy" }, nameOrId, [...keys, ...policies]);
  if (matches.length === 1) return match.id;
  const candidates = matches.map(candidateText).join(", ");
  throw ambiguous(`several keys or policies are named ${JSON.stringify(nameOrId)}: ${candidates}`);
}

/** Id of the service credential that a text names, by id or by name. @throws CliError as `resolveKey` */
export async function resolveServiceCredential(client: NodeClient, nameOrId: string): Promise<string> {
  return nameOrId.startsWith(SERVICE_CREDENTIAL.prefix) ? nameOrId : findByName(client, SERVICE_CREDENTIAL, nameOrId);
}

/** Id of the deleted namespace that a text names; the node itself finds other namespaces by name. @throws CliError as `resolveKey` */
export async function resolveDeletedNamespace(client: NodeClient, nameOrId: string): Promise<string> {
  return nameOrId.startsWith(DELETED_NAMESPACE.prefix) ? nameOrId : findByName(client, DELETED_NAMESPACE, nameOrId);
}

/**
 * Result of a call whose namespace or account the node itself finds, by name or id. NOT_FOUND of the node becomes an error that names it.
 *
 * @throws CliError RESOURCE_NOT_FOUND
 */
export async function naming<T>(noun: "namespace" | "account", nameOrId: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof ConnectError && error.code === Code.NotFound)) throw error;
    throw notFound(
      `no ${noun} ${JSON.stringify(nameOrId)} here`,
      `\`routeplane cloud ${noun} list\` shows all that you can see.`,
    );
  }
}

/**
 * Id of the principal that a text names: a key, or the namespace of the credential in use, which can access no other.
 *
 * @throws CliError RESOURCE_NOT_FOUND, NAME_AMBIGUOUS or SCOPE_MISSING
 */
export async function resolvePrincipal(
  client: NodeClient,
  type: "api_key" | "namespace",
  nameOrId: string,
): Promise<string> {
  // An id of the other type is passed to the node too, whose error explains it.
  if (nameOrId.startsWith("ns_") || nameOrId.startsWith(KEY.prefix)) return nameOrId;
  if (type === "api_key") return findByName(client, KEY, nameOrId);
  const { namespace } = fromProtoIdentity(await client.identity.whoAmI({}));
  if (namespace !== null && namespace.name === nameOrId) return namespace.id;
  const own = namespace === null ? "is bound to no namespace" : `is bound to ${namespace.name} (${namespace.id})`;
  throw notFound(`no namespace ${JSON.stringify(nameOrId)} here: the credential in use ${own}`);
}

/** Principal with its type, as a command line names it. */
export interface NamedPrincipal {
  readonly type: "api_key" | "namespace";
  readonly id: string;
}

/**
 * Principal that a text names without its type: a key, or the namespace of the credential in use. A name of both is refused.
 *
 * @throws CliError RESOURCE_NOT_FOUND, NAME_AMBIGUOUS or SCOPE_MISSING
 */
export async function resolveUntypedPrincipal(client: NodeClient, nameOrId: string): Promise<NamedPrincipal> {
  if (nameOrId.startsWith("ns_")) return { type: "namespace", id: nameOrId };
  if (nameOrId.startsWith(KEY.prefix)) return { type: "api_key", id: nameOrId };
  const { namespace } = fromProtoIdentity(await client.identity.whoAmI({}));
  if (namespace?.name !== nameOrId) return { type: "api_key", id: await findByName(client, KEY, nameOrId) };
  const keys = matching(await listNamed(client, KEY, nameOrId), nameOrId);
  if (keys.length === 0) return { type: "namespace", id: namespace.id };
  const candidates = [namespace.id, ...keys.map(candidateText)].join(", ");
  throw ambiguous(`the namespace and a key are named ${JSON.stringify(nameOrId)}: ${candidates}`);
}

/** Id of the key with a name, even if the name begins like an id. @throws CliError as `resolveKey` */
export function findKeyByName(client: NodeClient, name: string): Promise<string> {
  return findByName(client, KEY, name);
}

async function findByName(client: NodeClient, kind: NamedKind, name: string): Promise<string> {
  const all = await listNamed(client, kind, name);
  const matches = matching(all, name);
  const [match] = matches;
  if (match === undefined) throw noneNamed(kind, name, all);
  if (matches.length === 1) return match.id;
  throw ambiguous(`several ${kind.plural} are named ${JSON.stringify(name)}: ${matches.map(candidateText).join(", ")}`);
}

/** Lists all resources of a kind. @throws CliError SCOPE_MISSING, saying that `name` cannot be looked up */
async function listNamed(client: NodeClient, kind: NamedKind, name: string): Promise<readonly Named[]> {
  const all: Named[] = [];
  try {
    for await (const { rows } of kind.pages(client)) for (const row of rows) all.push(row);
  } catch (error) {
    throw error instanceof ConnectError && error.code === Code.PermissionDenied ? cannotResolve(kind, name) : error;
  }
  return all;
}

/** Returns the resources with a name: only exact matches, if there are any. */
function matching(all: readonly Named[], name: string): readonly Named[] {
  const alike = all.filter((each) => foldName(each.name) === foldName(name));
  const same = alike.filter((each) => each.name === name);
  return same.length > 0 ? same : alike;
}

function candidateText({ id, isRevoked = false }: Named): string {
  return isRevoked ? `${id} (revoked)` : id;
}

function ambiguous(message: string): CliError {
  return new CliError(ExitCode.failed, "failed_precondition", "NAME_AMBIGUOUS", message, {
    hint: "Give the id of one.",
  });
}

function noneNamed({ noun, where, list }: NamedKind, name: string, all: readonly Named[]): CliError {
  const names = suggest(
    name,
    all.map((each) => each.name),
  );
  const alike = all.filter((each) => names.includes(each.name)).map((each) => `${each.name} (${each.id})`);
  return notFound(`no ${noun} ${JSON.stringify(name)} ${where}${didYouMean(alike)}`, `\`${list}\` shows all of them.`);
}

function cannotResolve({ noun, prefix, scope }: NamedKind, name: string): CliError {
  const message = `finding the ${noun} ${JSON.stringify(name)} by its name needs the scope ${scope}, which the credential in use does not hold`;
  const hint = `Give its id (${prefix}…) instead.`;
  return new CliError(ExitCode.denied, "permission_denied", "SCOPE_MISSING", message, { hint });
}

export function didYouMean(names: readonly string[]): string {
  return names.length === 0 ? "" : `; did you mean ${names.join(" or ")}?`;
}

export function notFound(message: string, hint?: string): CliError {
  const options = hint === undefined ? {} : { hint };
  return new CliError(ExitCode.failed, "not_found", "RESOURCE_NOT_FOUND", message, options);
}
