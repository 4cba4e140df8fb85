import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { PolicyService, PresetSpec, UnbindAllRequest } from "@routeplane/contracts/policy";
import { invalidField, notFound, parseId, requireId } from "@routeplane/domain";
import type { SpecOf } from "@routeplane/policy-spec";
import { fromProtoPreset, VALIDATED_WORDS } from "@routeplane/policy-spec/proto";
import { credentialPrincipalOf, fromPageToken, keyPrincipalOf, MAX_PAGE_BYTES, toProtoPage } from "@routeplane/rpc";
import type { DescribeBindings, DescribePolicies } from "../domain/policies/described-policy.ts";
import type { ChosenBindings, Management } from "../domain/policies/management.ts";
import type { BindMintedLimits, Minter } from "../domain/policies/minted-limits.ts";
import type { Policy } from "../domain/policies/policy.ts";
import type { PageRequest, PolicyStore } from "../domain/ports.ts";
import {
  fromProtoKind,
  fromProtoMode,
  fromProtoPolicyUpdate,
  fromProtoPrincipal,
  toProtoBinding,
  toProtoBudgetUses,
  toProtoPolicy,
} from "./convert-policy.ts";
import { completeSpec, guardrailInRequest, requireProtoSpec } from "./convert-spec.ts";
import { BINDING_LIST, BOUND_POLICY_LIST, POLICY_LIST } from "./policy-lists.ts";

const DEFAULT_PAGE_SIZE = 100;

export interface PolicyServiceDependencies {
  readonly policies: PolicyStore;
  readonly management: Management;
  readonly bindMintedLimits: BindMintedLimits;
  readonly describe: DescribePolicies;
  readonly describeBindings: DescribeBindings;
}

export function policyService({
  policies,
  management,
  bindMintedLimits,
  describe,
  describeBindings,
}: PolicyServiceDependencies): ServiceImpl<typeof PolicyService> {
  const toProto = async (policy: Policy) => {
    const [described] = await describe(policy.namespaceId, [policy]);
    return described && toProtoPolicy(described);
  };
  return {
    async createPolicy(request, context) {
      const spec = requireProtoSpec(request.spec);
      const draft = { name: request.name, spec, guardrail: guardrailInRequest(spec) };
      const { policy } = await management.create(keyPrincipalOf(context), draft);
      return { policy: await toProto(policy) };
    },

    async bindMintedLimits({ namespaceId, keyId, limits }, context) {
      const spec = requireProtoLimits(limits);
      const key = { namespaceId: requireId("ns", namespaceId), keyId: requireId("key", keyId) };
      const guardrail = guardrailInRequest(spec, "limits");
      return { policyId: await bindMintedLimits(minterOf(context), { ...key, spec, guardrail }) };
    },

    async getPolicy({ id }, context) {
      const policy = await policies.find(keyPrincipalOf(context).namespaceId, requireId("pol", id));
      if (policy === undefined) throw notFound();
      return { policy: await toProto(policy) };
    },

    async listPolicies({ kind, pageSize, pageToken }, context) {
      const { namespaceId } = keyPrincipalOf(context);
      const after = fromPageToken(POLICY_LIST.list, pageToken, (id) => parseId("pol", id));
      const page = { kind: fromProtoKind(kind), size: pageSize || DEFAULT_PAGE_SIZE, after, maxBytes: MAX_PAGE_BYTES };
      const { rows, hasMore } = await policies.list(namespaceId, page);
      const { messages, nextPageToken } = toProtoPage(
        { rows: await describe(namespaceId, rows), hasMore },
        POLICY_LIST,
      );
      return { policies: messages, nextPageToken };
    },

    async updatePolicy(request, context) {
      const id = requireId("pol", request.id);
      const policy = await management.update(keyPrincipalOf(context), id, fromProtoPolicyUpdate(request));
      return { policy: await toProto(policy) };
    },

    async deletePolicy({ id, unbind }, context) {
      const unbound = await management.remove(keyPrincipalOf(context), requireId("pol", id), unbind);
      return { unbound: unbound.map(toProtoBinding) };
    },

    async enablePolicy({ id }, context) {
      return { policy: await toProto(await management.enable(keyPrincipalOf(context), requireId("pol", id))) };
    },

    async disablePolicy({ id }, context) {
      return { policy: await toProto(await management.disable(keyPrincipalOf(context), requireId("pol", id))) };
    },

    async bindPolicy(request, context) {
      const [id, principal] = [requireId("pol", request.policyId), fromProtoPrincipal(request)];
      const draft = {
        principal,
        mode: fromProtoMode(request.mode),
        ...(request.etag !== "" && { etag: request.etag }),
      };
      const { policy, binding } = await management.bind(keyPrincipalOf(context), id, draft);
      return { policy: await toProto(policy), binding: toProtoBinding(binding) };
    },

    async unbindPolicy({ policyId, bindingId }, context) {
      const [id, binding] = [requireId("pol", policyId), requireId("bnd", bindingId)];
      return { binding: toProtoBinding(await management.unbind(keyPrincipalOf(context), id, binding)) };
    },

    async unbindAll(request, context) {
      const chosen = fromProtoChosenBindings(request);
      const unbound = await management.unbindAll(keyPrincipalOf(context), requireId("pol", request.policyId), chosen);
      return { unbound: unbound.map(toProtoBinding) };
    },

    async listBindings(request, context) {
      const id = requireId("pol", request.policyId);
      const page = await management.bindingsOf(keyPrincipalOf(context), id, fromBindingPage(request));
      const { messages, nextPageToken } = toProtoPage(page, BINDING_LIST);
      const policy = await policies.find(keyPrincipalOf(context).namespaceId, id);
      const described = policy === undefined ? [] : await describeBindings(policy, page.rows.slice(0, messages.length));
      return { bindings: messages, nextPageToken, budgetUses: toProtoBudgetUses(described) };
    },

    async listPrincipalPolicies(request, context) {
      const principal = fromProtoPrincipal(request);
      const page = await management.policiesOf(keyPrincipalOf(context), principal, fromBindingPage(request));
      const described = await describe(
        keyPrincipalOf(context).namespaceId,
        page.rows.map(({ policy }) => policy),
      );
      const rows = page.rows.map(({ binding }, index) => ({ binding, policy: described[index] }));
      const { messages, nextPageToken } = toProtoPage({ rows, hasMore: page.hasMore }, BOUND_POLICY_LIST);
      return { boundPolicies: messages, nextPageToken };
    },
  };
}

function minterOf(context: HandlerContext): Minter {
  const principal = credentialPrincipalOf(context);
  return principal.kind === "key"
    ? { id: principal.sessionId ?? principal.keyId, lineage: principal.lineage }
    : { id: principal.sessionId ?? principal.operatorId, lineage: [] };
}

/** @throws DomainError INVALID_ARGUMENT without limits, which the contract's validation refuses before */
function requireProtoLimits(limits: PresetSpec | undefined): SpecOf<"preset"> {
  if (limits === undefined) throw invalidField("limits", "is required");
  return completeSpec({ kind: "preset", ...fromProtoPreset(limits, VALIDATED_WORDS) }, "limits");
}

/** @throws DomainError INVALID_ARGUMENT unless exactly one choice is made */
function fromProtoChosenBindings({ bindingIds, principalType, principalId, all }: UnbindAllRequest): ChosenBindings {
  const choices: readonly ChosenBindings[] = [
    ...(bindingIds.length === 0 ? [] : [{ ids: bindingIds.map((id) => requireId("bnd", id)) }]),
    ...(principalType || principalId ? [{ principal: fromProtoPrincipal({ principalType, principalId }) }] : []),
    ...(all ? [{ all }] : []),
  ];
  const [choice, ...others] = choices;
  if (choice !== undefined && others.length === 0) return choice;
  throw invalidField("binding_ids", "or principal or all must be set, and only one of them");
}

function fromBindingPage({ pageSize, pageToken }: { pageSize: number; pageToken: string }): PageRequest<"bnd"> {
  const after = fromPageToken(BINDING_LIST.list, pageToken, (id) => parseId("bnd", id));
  return { size: pageSize || DEFAULT_PAGE_SIZE, after, maxBytes: MAX_PAGE_BYTES };
}
