import type { ServiceImpl } from "@connectrpc/connect";
import type { RequestHistoryService } from "@routeplane/contracts/usage";
import { type Clock, requireId } from "@routeplane/domain";
import { fromPageToken, fromTimestamp, toPageToken } from "@routeplane/rpc";
import type { Page, RequestFilter, UsageStore } from "../domain/ports.ts";
import { usageRange } from "../domain/usage.ts";
import { toPositionText, fromPositionText, toProtoCharge, toProtoLoggedRequest } from "./convert-request.ts";

const DEFAULT_PAGE_SIZE = 1_000;
const HISTORY = "request-history";
const CHARGES = "request-charges";
const EVERY: RequestFilter = { keyId: undefined, model: undefined, status: undefined, from: undefined, to: undefined };

type PageRequest = Parameters<ServiceImpl<typeof RequestHistoryService>["listRequestHistory"]>[0];

export function requestHistoryService(usage: UsageStore, clock: Clock): ServiceImpl<typeof RequestHistoryService> {
  const page = (list: string, asked: Omit<PageRequest, "$typeName">, filter: RequestFilter): Promise<Page> => {
    const inRange = { ...filter, from: fromTimestamp(asked.from), to: fromTimestamp(asked.to) };
    const before = fromPageToken(list, asked.pageToken, fromPositionText);
    const size = asked.pageSize || DEFAULT_PAGE_SIZE;
    return usage.list(requireId("ns", asked.namespaceId), { size, before, filter: inRange });
  };
  return {
    async listRequestHistory(request) {
      const found = await page(HISTORY, request, { ...EVERY, exceptStatus: "denied" });
      return { requests: found.rows.map(toProtoLoggedRequest), nextPageToken: tokenAfter(HISTORY, found) };
    },

    async listRequestCharges(request) {
      const found = await page(CHARGES, request, EVERY);
      return { charges: found.rows.map(toProtoCharge), nextPageToken: tokenAfter(CHARGES, found) };
    },

    async getRequestCharges({ namespaceId, requestIds }) {
      const ids = requestIds.map((id) => requireId("req", id));
      const rows = await usage.listByIds(requireId("ns", namespaceId), ids);
      return { charges: rows.map(toProtoCharge) };
    },

    async getNextNamespace({ after, from, to }) {
      const range = usageRange(fromTimestamp(from), fromTimestamp(to), clock);
      return {
        namespaceId: (await usage.nextNamespace(range, after === "" ? undefined : requireId("ns", after))) ?? "",
      };
    },
  };
}

function tokenAfter(list: string, { rows, hasMore }: Page): string {
  const last = rows.at(-1);
  return hasMore && last ? toPageToken(list, toPositionText(last)) : "";
}
