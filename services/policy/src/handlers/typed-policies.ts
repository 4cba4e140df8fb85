import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { BindingSchema, PolicySchema, Principal } from "@routeplane/contracts/policy";
import { type Id, notFound, parseId, requireId } from "@routeplane/domain";
import type { PolicyKind, SpecOf } from "@routeplane/policy-spec";
import { fromPageToken, keyPrincipalOf, MAX_PAGE_BYTES, toProtoPage } from "@routeplane/rpc";
import type { DescribePolicies } from "../domain/policies/described-policy.ts";
import type { Management } from "../domain/policies/management.ts";
import type { Policy } from "../domain/policies/policy.ts";
import type { PolicyStore } from "../domain/ports.ts";
import { fromProtoPrincipal, toProtoBinding, toProtoPolicy } from "./convert-policy.ts";
import { POLICY_LIST } from "./policy-lists.ts";
import { completeSpec, guardrailInRequest } from "./convert-spec.ts";
import type { SpecChange } from "./spec-changes.ts";

const DEFAULT_PAGE_SIZE = 100;

type PolicyMessage = MessageInitShape<typeof PolicySchema>;
type BindingMessage = MessageInitShape<typeof BindingSchema>;

/** Handlers that the services of all kinds share: their messages have the same shape, but for the spec. */
export interface TypedPolicies<Kind extends PolicyKind> {
  readonly create: (
    request: { readonly name: string; readonly bindTo: readonly Principal[] },
    spec: SpecOf<Kind>,
    context: HandlerContext,
  ) => Promise<{ policy: PolicyMessage; bindings: BindingMessage[] }>;
  readonly get: (request: { readonly id: string }, context: HandlerContext) => Promise<{ policy: PolicyMessage }>;
  readonly list: (
    request: { readonly pageSize: number; readonly pageToken: string },
    context: HandlerContext,
  ) => Promise<{ policies: PolicyMessage[]; nextPageToken: string }>;
  readonly update: (
    request: { readonly id: string; readonly name: string; readonly etag: string },
    change: SpecChange<Kind> | undefined,
    context: HandlerContext,
  ) => Promise<{ policy: PolicyMessage }>;
  readonly remove: (
    request: { readonly id: string; readonly unbind: boolean },
    context: HandlerContext,
  ) => Promise<{ unbound: BindingMessage[] }>;
}

/** Handlers of one kind. Policies of another kind are NOT_FOUND; a kind never changes, so that it is read without a lock. */
export function typedPolicies<Kind extends PolicyKind>(
  kind: Kind,
  policies: PolicyStore,
  management: Management,
  describe: DescribePolicies,
): TypedPolicies<Kind> {
  const toProto = async (policy: Policy): Promise<PolicyMessage> => {
    const [described] = await describe(policy.namespaceId, [policy]);
    return described === undefined ? {} : toProtoPolicy(described);
  };
  const find = async (id: Id<"pol">, context: HandlerContext) => {
    const policy = await policies.find(keyPrincipalOf(context).namespaceId, id);
    if (policy?.spec.kind !== kind) throw notFound();
    return policy;
  };
  return {
    async create({ name, bindTo }, written, context) {
      const spec = completeSpec(written, "spec");
      const guardrail = guardrailInRequest(spec, "spec");
      const draft = { name, spec, guardrail, bindTo: bindTo.map(fromProtoPrincipal) };
      const { policy, bindings } = await management.create(keyPrincipalOf(context), draft);
      return { policy: await toProto(policy), bindings: bindings.map(toProtoBinding) };
    },

    get: async ({ id }, context) => ({ policy: await toProto(await find(requireId("pol", id), context)) }),

    async list({ pageSize, pageToken }, context) {
      const after = fromPageToken(POLICY_LIST.list, pageToken, (id) => parseId("pol", id));
      const page = { kind, size: pageSize || DEFAULT_PAGE_SIZE, after, maxBytes: MAX_PAGE_BYTES };
      const { namespaceId } = keyPrincipalOf(context);
      const { rows, hasMore } = await policies.list(namespaceId, page);
      const { messages, nextPageToken } = toProtoPage(
        { rows: await describe(namespaceId, rows), hasMore },
        POLICY_LIST,
      );
      return { policies: messages, nextPageToken };
    },

    async update({ id: text, name, etag }, change, context) {
      const id = requireId("pol", text);
      await find(id, context);
      const policy = await management.update(keyPrincipalOf(context), id, {
        ...(name !== "" && { name }),
        ...(etag !== "" && { etag }),
        ...(change && { spec: (current) => change.spec(current as SpecOf<Kind>), guardrail: change.guardrail }),
      });
      return { policy: await toProto(policy) };
    },

    async remove({ id: text, unbind }, context) {
      const id = requireId("pol", text);
      await find(id, context);
      const unbound = await management.remove(keyPrincipalOf(context), id, unbind);
      return { unbound: unbound.map(toProtoBinding) };
    },
  };
}
