import type { ServiceImpl } from "@connectrpc/connect";
import type { RequestHistoryService } from "@routeplane/contracts/usage";
import { requireId } from "@routeplane/domain";
import { fromPageToken, fromTimestamp, toPageToken } from "@routeplane/rpc";
import type { RequestFilter, UsageStore } from "../domain/ports.ts";
import { fromPosition, toPosition, toProtoLoggedRequest } from "./convert.ts";

const DEFAULT_PAGE_SIZE = 1_000;
const LIST = "request-history";
const ADMITTED: RequestFilter = {
  keyId: undefined,
  model: undefined,
  status: undefined,
  from: undefined,
  to: undefined,
  except: "denied",
};

export function requestHistoryService(usage: UsageStore): ServiceImpl<typeof RequestHistoryService> {
  return {
    async listRequestHistory({ namespaceId, from, to, pageSize, pageToken }) {
      const filter = { ...ADMITTED, from: fromTimestamp(from), to: fromTimestamp(to) };
      const before = fromPageToken(LIST, pageToken, toPosition);
      const page = { size: pageSize || DEFAULT_PAGE_SIZE, before, filter };
      const { rows, more } = await usage.list(requireId("ns", namespaceId), page);
      const last = rows.at(-1);
      return {
        requests: rows.map(toProtoLoggedRequest),
        nextPageToken: more && last ? toPageToken(LIST, fromPosition(last)) : "",
      };
    },
  };
}
