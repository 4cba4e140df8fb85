import type { ServiceImpl } from "@connectrpc/connect";
import {
  LoggedRequestSchema,
  RequestChargeSchema,
  type RequestHistoryService,
  SessionRequestSchema,
} from "@routeplane/contracts/usage";
import { type Clock, requireId } from "@routeplane/domain";
import { fromPageToken, fromTimestamp, toProtoPage, toTimestamp } from "@routeplane/rpc";
import { type LogPosition, NO_FILTER, type Page, type RequestFilter, type UsageStore } from "../domain/ports.ts";
import { usageRange } from "../domain/usage.ts";
import {
  toPositionText,
  fromPositionText,
  toProtoCharge,
  toProtoLoggedRequest,
  toProtoSessionRequest,
} from "./convert-request.ts";

const DEFAULT_PAGE_SIZE = 1_000;
const HISTORY = "request-history";
const CHARGES = "request-charges";
const SESSION = "session-requests";

type PageRequest = Parameters<ServiceImpl<typeof RequestHistoryService>["listRequestHistory"]>[0];

export function requestHistoryService(
  usage: UsageStore,
  readInstallation: () => Promise<string>,
  readLogPosition: () => Promise<LogPosition>,
  clock: Clock,
): ServiceImpl<typeof RequestHistoryService> {
  const readPage = (
    list: string,
    { namespaceId, from, to, pageToken, pageSize }: Omit<PageRequest, "$typeName">,
    filter: RequestFilter,
  ): Promise<Page> => {
    const inRange = { ...filter, from: fromTimestamp(from), to: fromTimestamp(to) };
    const before = fromPageToken(list, pageToken, fromPositionText);
    const size = pageSize || DEFAULT_PAGE_SIZE;
    return usage.list(requireId("ns", namespaceId), { size, before, filter: inRange });
  };
  return {
    async listRequestHistory(request) {
      const page = await readPage(HISTORY, request, { ...NO_FILTER, exceptStatus: "denied" });
      const { messages: requests, nextPageToken } = toProtoPage(page, {
        list: HISTORY,
        schema: LoggedRequestSchema,
        toProto: toProtoLoggedRequest,
        positionOf: toPositionText,
      });
      return { requests, nextPageToken };
    },

    async listRequestCharges(request) {
      const page = await readPage(CHARGES, request, NO_FILTER);
      const { messages: charges, nextPageToken } = toProtoPage(page, {
        list: CHARGES,
        schema: RequestChargeSchema,
        toProto: toProtoCharge,
        positionOf: toPositionText,
      });
      return { charges, nextPageToken };
    },

    async getRequestCharges({ namespaceId, requestIds }) {
      const ids = requestIds.map((id) => requireId("req", id));
      const rows = await usage.listByIds(requireId("ns", namespaceId), ids);
      return { charges: rows.map(toProtoCharge) };
    },

    async getLogPosition() {
      const { now, consumed, consumedUntil } = await readLogPosition();
      return { now, consumed, ...(consumedUntil && { consumedUntil: toTimestamp(consumedUntil) }) };
    },

    async listSessionRequests({ namespaceId, sessionId, from, to, pageToken, pageSize }) {
      const before = fromPageToken(SESSION, pageToken, fromPositionText);
      const range = usageRange(fromTimestamp(from), fromTimestamp(to), clock);
      const size = pageSize || DEFAULT_PAGE_SIZE;
      const page = await usage.listOfSession(requireId("ns", namespaceId), requireId("gws", sessionId), {
        size,
        before,
        range,
      });
      const { messages: requests, nextPageToken } = toProtoPage(page, {
        list: SESSION,
        schema: SessionRequestSchema,
        toProto: toProtoSessionRequest,
        positionOf: toPositionText,
      });
      return { requests, nextPageToken };
    },

    getInstallation: async () => ({ id: await readInstallation() }),

    async getNextNamespace({ after, from, to }) {
      const range = usageRange(fromTimestamp(from), fromTimestamp(to), clock);
      return {
        namespaceId: (await usage.nextNamespace(range, after === "" ? undefined : requireId("ns", after))) ?? "",
      };
    },
  };
}
