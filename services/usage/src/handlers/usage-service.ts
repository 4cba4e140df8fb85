import type { ServiceImpl } from "@connectrpc/connect";
import type { UsageService } from "@routeplane/contracts/usage";
import { type Clock, nanoToMicro, parseId } from "@routeplane/domain";
import { fromPageToken, fromTimestamp, keyPrincipalOf, toPageToken, toTimestamp } from "@routeplane/rpc";
import type { UsageStore } from "../domain/ports.ts";
import { totalOf, usageRange } from "../domain/usage.ts";
import { toProtoLoggedRequest } from "./convert.ts";

const DEFAULT_PAGE_SIZE = 25;

export function usageService(usage: UsageStore, clock: Clock): ServiceImpl<typeof UsageService> {
  return {
    async getUsage({ from, to }, context) {
      const range = usageRange(fromTimestamp(from), fromTimestamp(to), clock);
      const query = { range, groupBy: [], keyId: undefined, model: undefined };
      const totals = totalOf(await usage.usage(keyPrincipalOf(context).namespaceId, query));
      return {
        from: toTimestamp(range.from),
        to: toTimestamp(range.to),
        requestCount: totals.requestCount,
        promptTokens: totals.promptTokens,
        completionTokens: totals.completionTokens,
        spendMicroUsd: nanoToMicro(totals.costNanoUsd),
      };
    },

    async listRequests({ pageSize, pageToken }, context) {
      const { namespaceId } = keyPrincipalOf(context);
      const before = fromPageToken("requests", pageToken, (id) => parseId("req", id));
      const { rows, more } = await usage.list(namespaceId, { size: pageSize || DEFAULT_PAGE_SIZE, before });
      const last = rows.at(-1);
      return {
        requests: rows.map(toProtoLoggedRequest),
        nextPageToken: more && last ? toPageToken("requests", last.id) : "",
      };
    },
  };
}
