import type { ServiceImpl } from "@connectrpc/connect";
import type { EffectivePolicyService } from "@routeplane/contracts/policy";
import { keyPrincipalOf } from "@routeplane/rpc";
import type { ReadEffectivePolicy, ReadPolicyOfKey } from "../domain/effective/read-effective-policy.ts";
import { toProtoEffectivePolicy } from "./convert-effective-policy.ts";
import { toProtoOwnLimits } from "./convert-own-limits.ts";
import { fromProtoPrincipal } from "./convert-policy.ts";

export function effectivePolicyService(
  read: ReadEffectivePolicy,
  readOfKey: ReadPolicyOfKey,
): ServiceImpl<typeof EffectivePolicyService> {
  return {
    async getEffectivePolicy(request, context) {
      const { namespaceId } = keyPrincipalOf(context);
      return { effectivePolicy: toProtoEffectivePolicy(await read(namespaceId, fromProtoPrincipal(request))) };
    },

    async getOwnLimits(_request, context) {
      return { limits: [...toProtoOwnLimits(await readOfKey(keyPrincipalOf(context)))] };
    },
  };
}
