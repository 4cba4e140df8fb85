import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createRouterTransport } from "@connectrpc/connect";
import { LoggedRequestSchema, type RequestChargeSchema, RequestHistoryService } from "@routeplane/contracts/usage";

/** Answers as the usage service's contract says, with the requests that a test puts there. */
export function createFakeUsageService() {
  const requests: MessageInitShape<typeof LoggedRequestSchema>[] = [];
  /** With the namespace that each is of; in every range. */
  const charges: (MessageInitShape<typeof RequestChargeSchema> & { namespaceId: string })[] = [];
  const down = { value: false };
  /** By namespace: its history is not answered before. */
  const gates = new Map<string, Promise<void>>();
  const transport = createRouterTransport(({ service }) => {
    service(RequestHistoryService, {
      async listRequestHistory({ namespaceId, from, to, pageSize, pageToken }) {
        await gates.get(namespaceId);
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
      getNextNamespace({ after }) {
        if (down.value) throw new Error("the usage service is down");
        const [namespaceId = ""] = charges
          .map((each) => each.namespaceId)
          .filter((id) => id > after)
          .toSorted();
        return { namespaceId };
      },
      listRequestCharges({ namespaceId, pageSize, pageToken }) {
        const mine = charges.filter((each) => each.namespaceId === namespaceId);
        const [start, size] = [Number(pageToken), Math.min(pageSize, 500)];
        const nextPageToken = mine.length > start + size ? String(start + size) : "";
        return { charges: mine.slice(start, start + size), nextPageToken };
      },
      getRequestCharges({ namespaceId, requestIds }) {
        const asked = new Set(requestIds);
        return {
          charges: charges.filter((each) => each.namespaceId === namespaceId && asked.has(each.requestId ?? "")),
        };
      },
    });
  });
  return { transport, requests, charges, usageDown: down, gates };
}
