import type { ServiceImpl } from "@connectrpc/connect";
import { LoggedRequestSchema, type UsageService } from "@routeplane/contracts/usage";
import { type Clock, notFound, requireId } from "@routeplane/domain";
import { fromPageToken, fromTimestamp, keyPrincipalOf, toProtoPage, toTimestamp } from "@routeplane/rpc";
import { watchRequests } from "./watch-requests.ts";
import { localDays } from "../domain/local-days.ts";
import type { UsageStore } from "../domain/ports.ts";
import { largestOf, totalOf, usageRange } from "../domain/usage.ts";
import {
  fromPositionText,
  fromProtoFilter,
  toPositionText,
  toProtoLoggedRequest,
  toProtoReceipt,
} from "./convert-request.ts";
import { fromProtoDimension, fromProtoMeasure, toProtoGroup, toProtoTotals } from "./convert-usage.ts";

const DEFAULT_PAGE_SIZE = 25;

export function usageService(usage: UsageStore, clock: Clock): ServiceImpl<typeof UsageService> {
  return {
    async getUsage({ from, to, groupBy, keyId, model, provider, timeZone, latency, largest, largestBy }, context) {
      const range = usageRange(fromTimestamp(from), fromTimestamp(to), clock);
      const dimensions = groupBy.flatMap(fromProtoDimension);
      const groups = await usage.sumUsage(keyPrincipalOf(context).namespaceId, {
        range,
        groupBy: dimensions,
        keyId: keyId || undefined,
        model: model || undefined,
        provider: provider || undefined,
        days: localDays(range, timeZone),
        withLatencies: latency,
        largest: largestOf(largest, fromProtoMeasure(largestBy), dimensions),
      });
      return {
        from: toTimestamp(range.from),
        to: toTimestamp(range.to),
        ...toProtoTotals(totalOf(groups)),
        groups: groupBy.length === 0 ? [] : groups.map(toProtoGroup),
      };
    },

    async listRequests({ pageSize, pageToken, filter }, context) {
      const { namespaceId } = keyPrincipalOf(context);
      const before = fromPageToken("requests", pageToken, fromPositionText);
      const page = { size: pageSize || DEFAULT_PAGE_SIZE, before, filter: fromProtoFilter(filter) };
      const { messages: requests, nextPageToken } = toProtoPage(await usage.list(namespaceId, page), {
        list: "requests",
        schema: LoggedRequestSchema,
        toProto: toProtoLoggedRequest,
        positionOf: toPositionText,
      });
      return { requests, nextPageToken };
    },

    watchRequests: watchRequests(usage),

    async getRequest({ id }, context) {
      const request = await usage.get(keyPrincipalOf(context).namespaceId, requireId("req", id));
      if (request === undefined) throw notFound();
      return { request: toProtoLoggedRequest(request), receipt: toProtoReceipt(request) };
    },
  };
}
