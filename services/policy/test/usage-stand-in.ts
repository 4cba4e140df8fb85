import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createRouterTransport } from "@connectrpc/connect";
import { LoggedRequestSchema, RequestHistoryService } from "@routeplane/contracts/usage";

/** Answers as the usage service's contract says, with the requests that a test puts there. */
export function usageStandIn() {
  const requests: MessageInitShape<typeof LoggedRequestSchema>[] = [];
  const down = { value: false };
  const transport = createRouterTransport(({ service }) => {
    service(RequestHistoryService, {
      listRequestHistory({ from, to, pageSize, pageToken }) {
        if (down.value) throw new Error("the usage service is down");
        const at = (time: typeof from) => (time === undefined ? 0 : timestampMs(time));
        const inRange = requests
          .map((init) => create(LoggedRequestSchema, init))
          .filter(({ createdAt }) => at(createdAt) >= at(from) && at(createdAt) < at(to))
          .toSorted((one, other) => at(other.createdAt) - at(one.createdAt));
        const [start, size] = [Number(pageToken), Math.min(pageSize, 3)];
        const nextPageToken = inRange.length > start + size ? String(start + size) : "";
        return { requests: inRange.slice(start, start + size), nextPageToken };
      },
    });
  });
  return { transport, requests, usageDown: down };
}
