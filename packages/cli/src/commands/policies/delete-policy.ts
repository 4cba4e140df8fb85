import type { Binding } from "@routeplane/contracts/policy";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { confirmLoss } from "../../input.ts";
import { block } from "../../output/table.ts";
import { type NamedPolicyKind, resolvePolicy } from "../../resolve-name.ts";
import { loginCredential } from "../../session.ts";
import { allPages, type ReadPage } from "../../views/list.ts";
import { type BindingView, fromProtoBinding, principalText } from "../../views/policies/policy.ts";

export const LINEAGE_NOTE = `
A sub-key may do this only to policies that it or a key below it created, and
that are bound to nothing but keys below it. A root key may do it to all.`;

export const BIND_LINEAGE_NOTE = `
A sub-key binds policies only to itself and to keys below it.`;

export const DELETE_EXAMPLES = (command: string): readonly string[] => [
  `cloud ${command} delete pol_01jxyz…`,
  `cloud ${command} delete pol_01jxyz… --yes --json`,
];

type Delete = (
  client: NodeClient,
  request: { readonly id: string; readonly unbind: boolean },
) => Promise<{ readonly unbound: readonly Binding[] }>;

/** Deletes a policy and its bindings. Names the bindings and asks for confirmation first, unless `yes`. */
export async function deletePolicy(
  context: Context,
  nameOrId: string,
  yes: boolean,
  call: Delete,
  only?: NamedPolicyKind,
): Promise<void> {
  const client = await context.connect(await loginCredential(context.settings));
  const id = await resolvePolicy(client, nameOrId, only);
  if (!yes) {
    const bound = await bindingsOf(client, id);
    const loss = bound.length === 0 ? "" : ` It is unbound from ${principalsText(bound)}.`;
    await confirmLoss(context, `Delete ${id}?${loss}`, `this deletes ${id}.${loss}`);
  }
  const { unbound } = await call(client, { id, unbind: true });
  const bindings = unbound.map(fromProtoBinding);
  const lines = bindings.map((binding) => ["unbound", `${binding.id} from ${principalText(binding)}`] as const);
  context.output.data({ id, unbound: bindings }, () => block([["deleted", id], ...lines]));
}

export async function bindingsOf(client: NodeClient, policyId: string): Promise<readonly BindingView[]> {
  return (await allPages(readBindings(client, policyId), fromProtoBinding)).data;
}

function readBindings({ policies }: NodeClient, policyId: string): ReadPage<Binding> {
  return async (page) => {
    const { bindings: rows, nextPageToken } = await policies.listBindings({ policyId, ...page });
    return { rows, nextPageToken };
  };
}

const MAX_NAMED = 5;

/** Principals of bindings, the first few by name. */
export function principalsText(bindings: readonly BindingView[]): string {
  const named = bindings.slice(0, MAX_NAMED).map(principalText).join(", ");
  const more = bindings.length - MAX_NAMED;
  return more > 0 ? `${named} and ${more} more` : named;
}
