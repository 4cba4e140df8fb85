import type { ServiceImpl } from "@connectrpc/connect";
import type { AdmissionService } from "@routeplane/contracts/policy";
import { requireId } from "@routeplane/domain";
import type { Admission } from "../domain/admission.ts";
import type { HoldKey } from "../domain/ports.ts";
import { fromProtoAdmitRequest, toProtoAdmitResponse } from "./convert.ts";

export function admissionService(admission: Admission): ServiceImpl<typeof AdmissionService> {
  return {
    admit: async (request) => toProtoAdmitResponse(await admission.admit(fromProtoAdmitRequest(request))),

    async settle(request) {
      await admission.settle(fromProtoHoldKey(request), request.costNanoUsd);
      return {};
    },

    async void(request) {
      await admission.void(fromProtoHoldKey(request));
      return {};
    },
  };
}

function fromProtoHoldKey({ namespaceId, requestId }: { namespaceId: string; requestId: string }): HoldKey {
  return { namespaceId: requireId("ns", namespaceId), requestId: requireId("req", requestId) };
}
