import { Code, ConnectError } from "@connectrpc/connect";
import type { Binding, PolicyBinding } from "@routeplane/contracts/policy";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { block } from "../../output/table.ts";
import { RequestNames } from "../../request-names.ts";
import { loginCredential } from "../../session.ts";
import { fromProtoBinding } from "../../views/policies/policy.ts";
import { type DenialSource, explainedFields, explainedRequest } from "../../views/requests/explained-request.ts";
import { fromProtoReceipt } from "../../views/requests/receipt.ts";
import { fromProtoRequest, type RequestView } from "../../views/requests/request.ts";
import { requirePresent } from "../../views/values.ts";

/** Maximum number of bindings that are searched for the one that denied; a policy cannot have more. */
const MAX_BINDINGS = 1_000;

/** Explains a request: its status, the policy and binding that decided on it, by name, and what to do next. */
export async function explainRequest(context: Context, id: string): Promise<void> {
  const client = await context.connect(await loginCredential(context.settings));
  const { request, receipt } = await client.usage.getRequest({ id });
  const found = requirePresent(request);
  const names = new RequestNames(client, context.output);
  await names.load([found.keyId]);
  const row = fromProtoRequest(found, names);
  const source = await sourceOf(client, row);
  const view = explainedRequest({ ...row, ...fromProtoReceipt(row, receipt) }, row.key_name, source);
  context.output.data(view, () => block(explainedFields(view)));
}

/** Policy and binding that denied a request, in their current state; names are null if they are deleted or cannot be read. */
async function sourceOf(client: NodeClient, row: RequestView): Promise<DenialSource | null> {
  const { denied_by_policy_id: policyId, denied_by_binding_id: bindingId } = row;
  if (policyId === null) return null;
  const policy = (await known(client.policies.getPolicy({ id: policyId })))?.policy;
  const binding = policy && (await bindingOf(client, policyId, bindingId, policy.bindings));
  const principal = binding && fromProtoBinding(binding);
  return {
    policy: { id: policyId, name: policy?.name ?? null },
    binding: bindingId === null ? null : { id: bindingId, ...(await principalOf(client, principal)) },
  };
}

async function bindingOf(
  { policies }: NodeClient,
  policyId: string,
  bindingId: string | null,
  oldest: readonly PolicyBinding[],
): Promise<Binding | undefined> {
  const found = oldest.find(({ binding }) => binding?.id === bindingId)?.binding;
  if (found !== undefined || bindingId === null) return found;
  const all = await known(policies.listBindings({ policyId, pageSize: MAX_BINDINGS }));
  return all?.bindings.find(({ id }) => id === bindingId);
}

async function principalOf(client: NodeClient, principal: ReturnType<typeof fromProtoBinding> | undefined) {
  if (principal === undefined) return { principal_type: null, principal_id: null, principal_name: null };
  const { principal_type, principal_id } = principal;
  const name = principal_type === "api_key" ? await nameOfKey(client, principal_id) : null;
  return { principal_type, principal_id, principal_name: name };
}

async function nameOfKey({ keys }: NodeClient, id: string): Promise<string | null> {
  return (await known(keys.getKey({ id })))?.key?.name ?? null;
}

/** Result of a call; undefined if the resource was deleted, or the credential in use may not read it. */
async function known<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    const isUnknown =
      error instanceof ConnectError && (error.code === Code.NotFound || error.code === Code.PermissionDenied);
    if (isUnknown) return undefined;
    throw error;
  }
}
