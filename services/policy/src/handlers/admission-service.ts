import type { ServiceImpl } from "@connectrpc/connect";
import type { AdmissionService } from "@routeplane/contracts/policy";
import { requireId } from "@routeplane/domain";
import { counter } from "@routeplane/runtime";
import type { Admission } from "../domain/admission/admission.ts";
import type { ReservationKey } from "../domain/ports.ts";
import { fromProtoAdmitRequest, toProtoAdmitResponse } from "./convert-admission.ts";

const admissions = counter({
  name: "routeplane_policy_admissions_total",
  help: "Decisions on requests, admitted or denied; a repeated call counts again.",
  labels: ["outcome"],
});

const recallWaits = counter({
  name: "routeplane_policy_recalls_total",
  help: "Admissions that waited for gateways to return what they have free of their slices.",
});

/** Counts an admission that waits for a recall. */
export function countRecallWait(): void {
  recallWaits.inc();
}

export function admissionService(admission: Admission): ServiceImpl<typeof AdmissionService> {
  return {
    async admit(request) {
      const result = await admission.admit(fromProtoAdmitRequest(request));
      admissions.inc({ outcome: result.outcome });
      return toProtoAdmitResponse(result);
    },

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
