import type { ServiceImpl } from "@connectrpc/connect";
import type { PolicyService } from "@routeplane/contracts/policy";
import { type Clock, notFound, parseId, requireId } from "@routeplane/domain";
import { fromPageToken, keyPrincipalOf, toPageToken } from "@routeplane/rpc";
import type { Bind } from "../domain/binder.ts";
import { newPolicy } from "../domain/policy.ts";
import type { PolicyStore } from "../domain/ports.ts";
import { fromProtoKind, fromProtoMode, fromProtoPrincipal, toProtoBinding, toProtoPolicy } from "./convert.ts";
import { fromProtoSpec } from "./convert-spec.ts";

const DEFAULT_PAGE_SIZE = 100;

export function policyService(policies: PolicyStore, bind: Bind, clock: Clock): ServiceImpl<typeof PolicyService> {
  return {
    async createPolicy({ name, spec }, context) {
      const policy = newPolicy(keyPrincipalOf(context).namespaceId, name, fromProtoSpec(spec), clock());
      await policies.add(policy);
      return { policy: toProtoPolicy(policy) };
    },

    async getPolicy({ id }, context) {
      const policy = await policies.find(keyPrincipalOf(context).namespaceId, requireId("pol", id));
      if (policy === undefined) throw notFound();
      return { policy: toProtoPolicy(policy) };
    },

    async listPolicies({ kind, pageSize, pageToken }, context) {
      const { namespaceId } = keyPrincipalOf(context);
      const after = fromPageToken("policies", pageToken, (id) => parseId("pol", id));
      const page = { kind: fromProtoKind(kind), size: pageSize || DEFAULT_PAGE_SIZE, after };
      const { rows, more } = await policies.list(namespaceId, page);
      const last = rows.at(-1);
      const nextPageToken = more && last ? toPageToken("policies", last.id) : "";
      return { policies: rows.map(toProtoPolicy), nextPageToken };
    },

    async bindPolicy(request, context) {
      const policyId = requireId("pol", request.policyId);
      const { namespaceId } = keyPrincipalOf(context);
      const mode = fromProtoMode(request.mode);
      const binding = await bind(namespaceId, policyId, fromProtoPrincipal(request), mode);
      return { binding: toProtoBinding(binding) };
    },
  };
}
