import type { ServiceImpl } from "@connectrpc/connect";
import { ServiceCredentialSchema, type ServiceCredentialService } from "@routeplane/contracts/auth";
import { notFound, requireId } from "@routeplane/domain";
import {
  fromDuration,
  fromTimestamp,
  operatorPrincipalOf,
  type PagedList,
  toProtoPage,
  toTimestamp,
} from "@routeplane/rpc";
import { reachOf } from "../domain/namespaces/account.ts";
import type { ServiceCredentialStore } from "../domain/ports.ts";
import type { ServiceCredential } from "../domain/service-credentials/service-credential.ts";
import type { ServiceCredentialLifecycle } from "../domain/service-credentials/service-credential-lifecycle.ts";
import { operatorCallerOf } from "./caller.ts";
import { fromProtoPage } from "./convert-page.ts";
import { toProtoServiceCredential } from "./convert-service-credential.ts";

const LIST: PagedList<ServiceCredential, typeof ServiceCredentialSchema> = {
  list: "service_credentials",
  schema: ServiceCredentialSchema,
  toProto: toProtoServiceCredential,
  positionOf: ({ id }) => id,
};

export function serviceCredentialService(
  serviceCredentials: ServiceCredentialStore,
  lifecycle: ServiceCredentialLifecycle,
): ServiceImpl<typeof ServiceCredentialService> {
  return {
    async mintServiceCredential({ name, scopes, expiresAt, namespaces, allNamespaces }, context) {
      const request = { name, scopes, expiresAt: fromTimestamp(expiresAt) };
      const caller = operatorCallerOf(context);
      const { service, token } = await lifecycle.mint(caller, { namespaces, allNamespaces }, request);
      return { serviceCredential: toProtoServiceCredential(service), token };
    },

    async listServiceCredentials(request, context) {
      const reach = reachOf(operatorPrincipalOf(context));
      const page = await serviceCredentials.list(reach, fromProtoPage(LIST.list, "svc", request));
      const { messages, nextPageToken } = toProtoPage(page, LIST);
      return { serviceCredentials: messages, nextPageToken };
    },

    async getServiceCredential({ id }, context) {
      const reach = reachOf(operatorPrincipalOf(context));
      const service = await serviceCredentials.find(reach, requireId("svc", id));
      if (service === undefined) throw notFound();
      return { serviceCredential: toProtoServiceCredential(service) };
    },

    async rotateServiceCredential({ id, grace }, context) {
      const caller = operatorCallerOf(context);
      const rotated = await lifecycle.rotate(caller, requireId("svc", id), fromDuration(grace));
      const { service, token, graceEndsAt } = rotated;
      return { serviceCredential: toProtoServiceCredential(service), token, graceEndsAt: toTimestamp(graceEndsAt) };
    },

    async revokeServiceCredential({ id, reason }, context) {
      const caller = operatorCallerOf(context);
      const service = await lifecycle.revoke(caller, requireId("svc", id), reason || undefined);
      return { serviceCredential: toProtoServiceCredential(service) };
    },
  };
}
