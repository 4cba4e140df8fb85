import type { ServiceImpl } from "@connectrpc/connect";
import { type GatewaySessionService, ReportOutcome } from "@routeplane/contracts/policy";
import { requireId } from "@routeplane/domain";
import { counter } from "@routeplane/runtime";
import type { GatewaySessions } from "../domain/sessions/gateway-sessions.ts";
import {
  fromProtoReport,
  fromProtoSliceRequest,
  toProtoReportOutcome,
  toProtoSliceGrant,
  toProtoState,
} from "./convert-session.ts";

const grants = counter({
  name: "routeplane_policy_slice_requests_total",
  help: "Requests of gateway sessions for slices, granted or not.",
  labels: ["outcome"],
});
const reported = counter({
  name: "routeplane_policy_reports_total",
  help: "Settlement reports, by their outcome; a repeated report counts again.",
  labels: ["outcome"],
});

/** @param lengthMs time for which a renewal is valid */
export function gatewaySessionService(
  sessions: GatewaySessions,
  lengthMs: number,
): ServiceImpl<typeof GatewaySessionService> {
  return {
    async renewSession({ sessionId, ...renewal }) {
      const state = await sessions.renew({ ...renewal, sessionId: requireId("gws", sessionId) });
      return { state: toProtoState(state), lengthMs };
    },

    async acquireSlices({ sessionId, requests }) {
      const converted = requests.map(fromProtoSliceRequest);
      const { state, grants: answers } = await sessions.acquire(requireId("gws", sessionId), converted);
      for (const answer of answers) grants.inc({ outcome: answer?.granted === true ? "granted" : "refused" });
      return {
        state: toProtoState(state),
        grants: answers.map(toProtoSliceGrant),
      };
    },

    async reportSettlements({ reports }) {
      const converted = reports.map(fromProtoReport);
      const outcomes = (await sessions.report(converted.filter((report) => report !== undefined))).values();
      const all = converted.map((report) =>
        report === undefined ? ReportOutcome.REFUSED : toProtoReportOutcome(outcomes.next().value ?? "again"),
      );
      for (const outcome of all) reported.inc({ outcome: OUTCOME_LABELS[outcome] });
      return { outcomes: all };
    },

    async closeSession({ sessionId, complete }) {
      return { state: toProtoState(await sessions.close(requireId("gws", sessionId), complete)) };
    },
  };
}

const OUTCOME_LABELS: Readonly<Record<ReportOutcome, string>> = {
  [ReportOutcome.UNSPECIFIED]: "again",
  [ReportOutcome.DONE]: "done",
  [ReportOutcome.REFUSED]: "refused",
};
