import type { ServiceImpl } from "@connectrpc/connect";
import type { AdmissionService } from "@routeplane/contracts/policy";
import { requireId } from "@routeplane/domain";
import type { Admission } from "../domain/admission/admission.ts";
import type { ReservationKey } from "../domain/ports.ts";
import { fromProtoAdmitRequest, toProtoAdmitResponse } from "./convert-admission.ts";

export function admissionService(admission: Admission): ServiceImpl<typeof AdmissionService> {
  return {
    admit: async (request) => toProtoAdmitResponse(await admission.admit(fromProtoAdmitRequest(request))),

    async settle(request) {
      await admission.settle(fromProtoReservationKey(request), {
        costNano: request.costNanoUsd,
        tokens: request.tokens,
      });
      return {};
    },

    async void(request) {
      await admission.void(fromProtoReservationKey(request), request.neverSent);
      return {};
    },
  };
}

function fromProtoReservationKey(request: { namespaceId: string; keyId: string; requestId: string }): ReservationKey {
  return {
    namespaceId: requireId("ns", request.namespaceId),
    keyId: requireId("key", request.keyId),
    requestId: requireId("req", request.requestId),
  };
}
