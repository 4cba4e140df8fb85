import type { Context } from "../context.ts";
import { contextNames, HOME_CONTEXT } from "../contexts/context-store.ts";
import { loginCredential, operatorOrLoginCredential } from "../session.ts";
import type { NameKind } from "./name-kinds.ts";

/** Time limit of a look-up. The shell waits for it. */
const TIMEOUT_MS = 1_000;
/** Maximum number of names that are looked up: one page. */
const MAX_NAMES = 500;

interface Named {
  readonly id: string;
  readonly name: string;
}

/** Names that a shell offers. @throws if they cannot be looked up within a second */
export async function offeredNames(context: Context, kind: NameKind): Promise<readonly string[]> {
  if (kind === "contexts") return [HOME_CONTEXT, ...(await contextNames(context.settings))];
  const all = await lookUp(context, kind);
  const count = new Map<string, number>();
  for (const { name } of all) count.set(name, (count.get(name) ?? 0) + 1);
  return all
    .map(({ id, name }) => (isWord(name) && !isLikeId(name) && count.get(name) === 1 ? name : id))
    .filter(isWord);
}

async function lookUp(context: Context, kind: Exclude<NameKind, "contexts">): Promise<readonly Named[]> {
  const credential = kind === "namespaces" ? operatorOrLoginCredential : loginCredential;
  const client = await context.connect(await credential(context.settings));
  const bounds = { signal: AbortSignal.timeout(TIMEOUT_MS) };
  const page = { pageSize: MAX_NAMES };
  const liveKeys = async () =>
    (await client.keys.listKeys(page, bounds)).keys.filter(({ revokedAt }) => revokedAt === undefined);
  switch (kind) {
    case "keys":
      return liveKeys();
    case "policies":
      return (await client.policies.listPolicies(page, bounds)).policies;
    case "namespaces":
      return (await client.namespaces.listNamespaces(page, bounds)).namespaces;
    case "principals": {
      const [keys, { identity }] = await Promise.all([liveKeys(), client.identity.whoAmI({}, bounds)]);
      const own =
        identity.case === "key" ? [{ id: identity.value.namespaceId, name: identity.value.namespaceName }] : [];
      return [...keys, ...own];
    }
  }
}

/** True for a name that no shell expands or splits, and that is not parsed as an option or an id. For other names the id is offered. */
function isWord(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._+-]*$/.test(text) && text.length <= 100;
}

/** True for a name that the command line parses as an id. */
function isLikeId(name: string): boolean {
  return /^(key|pol|ns)_/.test(name);
}
