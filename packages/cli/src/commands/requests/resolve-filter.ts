import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { UsageDimension } from "@routeplane/contracts/usage";
import { foldName, parseId } from "@routeplane/domain";
import { listServedModels, type NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { CliError, ExitCode } from "../../errors.ts";
import type { Credential } from "../../session.ts";
import { suggest } from "../../suggest.ts";
import { fromProtoKey } from "../../views/keys/key.ts";
import { allPages } from "../../views/list.ts";

/** Filter options that name a key or a model. Both are looked up: a misspelt name would otherwise show no usage. */
export interface NamedFilter {
  /** Name or id. */
  readonly key?: string;
  readonly model?: string;
  readonly from?: Date;
  readonly to?: Date;
}

/**
 * Replaces the key by its id, and the model by the id that requests carry.
 *
 * @throws CliError RESOURCE_NOT_FOUND with suggestions, if there is no such key or model
 */
export async function resolveFilter<Options extends NamedFilter>(
  context: Context,
  credential: Credential,
  options: Options,
): Promise<Options> {
  const { key, model } = options;
  if (key === undefined && model === undefined) return options;
  const clients = await context.connect(credential);
  return {
    ...options,
    ...(key === undefined ? {} : { key: await resolveKey(clients, key) }),
    ...(model === undefined ? {} : { model: await resolveModel(context, clients, credential, { ...options, model }) }),
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

async function resolveModel(
  context: Context,
  { usage }: NodeClient,
  { token }: Credential,
  { model, from, to }: NamedFilter & { readonly model: string },
): Promise<string> {
  const range = { ...(from && { from: timestampFromDate(from) }), ...(to && { to: timestampFromDate(to) }) };
  const groupBy = [UsageDimension.MODEL, UsageDimension.PROVIDER];
  const { groups } = await usage.getUsage({ ...range, groupBy });
  const isMeant = (...names: readonly string[]): boolean => names.some((name) => fold(name) === fold(model));
  const used = groups.find((group) => isMeant(group.model, `${group.provider}/${group.model}`));
  if (used !== undefined) return used.model;
  // The log reaches further back than the default range of usage.
  const { requests } = await usage.listRequests({ filter: { ...range, model }, pageSize: 1 });
  if (requests.length > 0) return model;
  const served = await listServedModels(await context.url(), token);
  if (served === undefined) {
    context.output.note(
      `No request in this range is to ${JSON.stringify(model)}, and the credential in use cannot list models.`,
    );
    return model;
  }
  if (served.some(({ id, owned_by }) => isMeant(id, `${owned_by}/${id}`))) return model;
  const alike = suggest(model, [...groups.map((group) => group.model), ...served.map(({ id }) => id)]);
  const message = `no model ${JSON.stringify(model)}: no request in this range is to it, and the node does not serve it to the credential in use`;
  throw notFound(`${message}${didYouMean(alike)}`);
}

function fold(name: string): string {
  return name.trim().toLowerCase();
}

function didYouMean(names: readonly string[]): string {
  return names.length === 0 ? "" : `; did you mean ${names.join(" or ")}?`;
}

function notFound(message: string, hint?: string): CliError {
  const options = hint === undefined ? {} : { hint };
  return new CliError(ExitCode.failed, "not_found", "RESOURCE_NOT_FOUND", message, options);
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
