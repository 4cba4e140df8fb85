import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { AdmissionService } from "@routeplane/contracts/policy";
import { requireId } from "@routeplane/domain";
import { principalOf, reachesNamespace } from "@routeplane/rpc";
import { counter } from "@routeplane/runtime";
import type { Admission } from "../domain/admission/admission.ts";
import type { AdmittingService, ServiceAdmission } from "../domain/admission/service-admission.ts";
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

export function admissionService(
  admission: Admission,
  forServices: ServiceAdmission,
): ServiceImpl<typeof AdmissionService> {
  return {
    async admit(request, context) {
      const service = admittingServiceOf(context);
      const admitted = fromProtoAdmitRequest(request);
      const result = await (service === undefined ? admission.admit(admitted) : forServices.admit(service, admitted));
      admissions.inc({ outcome: result.outcome });
      return toProtoAdmitResponse(result);
    },

    async settle(request, context) {
      const service = admittingServiceOf(context);
      const key = fromProtoReservationKey(request);
      const usage = { costNano: request.costNanoUsd, tokens: request.tokens };
      await (service === undefined ? admission.settle(key, usage) : forServices.settle(service, key, usage));
      return {};
    },

    async void(request, context) {
      const service = admittingServiceOf(context);
      const key = fromProtoReservationKey(request);
      const { neverSent } = request;
      await (service === undefined ? admission.void(key, neverSent) : forServices.void(service, key, neverSent));
      return {};
    },
  };
}

/** Service that calls by a service credential; undefined for an internal caller. */
function admittingServiceOf(context: HandlerContext): AdmittingService | undefined {
  const principal = principalOf(context);
  if (principal.kind !== "service") return undefined;
  const { serviceCredentialId } = principal;
  return { serviceCredentialId, reaches: (namespaceId) => reachesNamespace(principal, namespaceId) };
}

function fromProtoReservationKey(request: { namespaceId: string; keyId: string; requestId: string }): ReservationKey {
  return {
    namespaceId: requireId("ns", request.namespaceId),
    keyId: requireId("key", request.keyId),
    requestId: requireId("req", request.requestId),
  };
}
