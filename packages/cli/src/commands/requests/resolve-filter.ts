import { Code, ConnectError } from "@connectrpc/connect";
import { foldName, parseId } from "@routeplane/domain";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { CliError, ExitCode } from "../../errors.ts";
import type { Credential } from "../../session.ts";
import { suggest } from "../../suggest.ts";
import { fromProtoKey } from "../../views/keys/key.ts";
import { allPages } from "../../views/list.ts";
import { didYouMean, type ModelFilter, notFound, resolveModel } from "./resolve-model.ts";

/** Filter options that name a key, a model or a provider. All are looked up: a misspelt name would otherwise show no usage. */
interface NamedFilter extends ModelFilter {
  /** Name or id. */
  readonly key?: string;
}

/**
 * Replaces the key by its id, and model and provider by the names that requests carry.
 *
 * @throws CliError RESOURCE_NOT_FOUND with suggestions, if there is no such key, model or provider
 */
export async function resolveFilter<Options extends NamedFilter>(
  context: Context,
  credential: Credential,
  options: Options,
): Promise<Options> {
  const { key, model, provider } = options;
  if (key === undefined && model === undefined && provider === undefined) return options;
  const clients = await context.connect(credential);
  const namesModel = model !== undefined || provider !== undefined;
  return {
    ...options,
    ...(key === undefined ? {} : { key: await resolveKey(clients, key) }),
    ...(namesModel ? await resolveModel(context, clients, credential, options) : {}),
  };
}

const LIST_KEYS = "`routeplane cloud keys list` shows all of them.";

async function resolveKey({ keys }: NodeClient, nameOrId: string): Promise<string> {
  if (parseId("key", nameOrId) !== undefined) {
    const isKnown = await keys
      .getKey({ id: nameOrId })
      .then(() => true, unlessCode(Code.NotFound, Code.PermissionDenied));
    // Without keys:read the id is used unchecked; the node shows no requests of another namespace.
    if (isKnown === true || isKnown === Code.PermissionDenied) return nameOrId;
    throw notFound(`no key ${JSON.stringify(nameOrId)} in this namespace`, LIST_KEYS);
  }
  const list = await allPages(async (page) => {
    const { keys: rows, nextPageToken } = await keys.listKeys(page).catch((error: unknown) => {
      throw isOf(error, Code.PermissionDenied) ? cannotResolve(nameOrId) : error;
    });
    return { rows, nextPageToken };
  }, fromProtoKey);
  const alikeNames = list.data.filter(({ name }) => foldName(name) === foldName(nameOrId));
  const sameNames = alikeNames.filter(({ name }) => name === nameOrId);
  const matches = sameNames.length > 0 ? sameNames : alikeNames;
  const [match, ...others] = matches;
  if (match !== undefined && others.length === 0) return match.id;
  if (match !== undefined) {
    const ids = matches.map(({ id, revoked_at }) => (revoked_at === null ? id : `${id} (revoked)`));
    const message = `several keys are named ${JSON.stringify(nameOrId)}: ${ids.join(", ")}`;
    throw new CliError(ExitCode.failed, "failed_precondition", "NAME_AMBIGUOUS", message, {
      hint: "Give the id of one.",
    });
  }
  const names = suggest(
    nameOrId,
    list.data.map(({ name }) => name),
  );
  const alike = list.data.filter(({ name }) => names.includes(name)).map(({ name, id }) => `${name} (${id})`);
  throw notFound(`no key ${JSON.stringify(nameOrId)} in this namespace${didYouMean(alike)}`, LIST_KEYS);
}

function cannotResolve(name: string): CliError {
  const message = `--key: finding the key ${JSON.stringify(name)} by its name needs the scope keys:read, which the credential in use does not hold`;
  const hint = "Give its id (key_…) instead.";
  return new CliError(ExitCode.denied, "permission_denied", "SCOPE_MISSING", message, { hint });
}

function unlessCode(...codes: readonly Code[]): (error: unknown) => Code {
  return (error) => {
    const code = codes.find((candidate) => isOf(error, candidate));
    if (code === undefined) throw error;
    return code;
  };
}

function isOf(error: unknown, code: Code): boolean {
  return error instanceof ConnectError && error.code === code;
}
