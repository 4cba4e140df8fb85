import { Code, ConnectError } from "@connectrpc/connect";
import { parseId } from "@routeplane/domain";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { findKeyByName, notFound } from "../../resolve-name.ts";
import type { Credential } from "../../session.ts";
import { type ModelFilter, resolveModel } from "./resolve-model.ts";

/** Filter options that name a key, a model or a provider. All are looked up: a misspelt name would otherwise show no usage. */
interface NamedFilter extends ModelFilter {
  /** Name or id. */
  readonly key?: string;
}

/**
 * Replaces the key by its id, and model and provider by their names in the request log.
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
    ...(key === undefined ? {} : { key: await resolveKeyFilter(clients, key) }),
    ...(namesModel ? await resolveModel(context, clients, credential, options) : {}),
  };
}

const LIST_KEYS = "`routeplane cloud keys list` shows all of them.";

async function resolveKeyFilter(clients: NodeClient, nameOrId: string): Promise<string> {
  if (parseId("key", nameOrId) !== undefined) {
    const isKnown = await clients.keys
      .getKey({ id: nameOrId })
      .then(() => true, unlessCode(Code.NotFound, Code.PermissionDenied));
    // Without keys:read the id is used unchecked; the node shows no requests of another namespace.
    if (isKnown === true || isKnown === Code.PermissionDenied) return nameOrId;
    throw notFound(`no key ${JSON.stringify(nameOrId)} in this namespace`, LIST_KEYS);
  }
  return findKeyByName(clients, nameOrId);
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
