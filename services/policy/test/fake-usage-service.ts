import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createRouterTransport } from "@connectrpc/connect";
import {
  LoggedRequestSchema,
  type RequestChargeSchema,
  RequestHistoryService,
  type SessionRequestSchema,
} from "@routeplane/contracts/usage";

/** Fake of the usage service that implements its contract: serves the requests and charges that a test adds. */
export function createFakeUsageService() {
  const requests: MessageInitShape<typeof LoggedRequestSchema>[] = [];
  /** Charges with their namespace. They are part of every range. */
  const charges: (MessageInitShape<typeof RequestChargeSchema> & { namespaceId: string })[] = [];
  /** Requests of gateway sessions. They are part of every range. */
  const sessionRequests: (MessageInitShape<typeof SessionRequestSchema> & {
    namespaceId: string;
    sessionId: string;
  })[] = [];
  let now = 1_000n;
  /** Position at which the log has stopped to record; undefined: it records everything immediately. */
  let heldAt: bigint | undefined;
  const position = {
    holdPosition: () => (heldAt = now),
    releasePosition: () => (heldAt = undefined),
    restartPositions: () => (now = 1n),
  };
  const down = { value: false };
  /** Promise for each namespace; its history is served only after this resolves. */
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
        const ofNamespace = charges.filter((each) => each.namespaceId === namespaceId);
        const [start, size] = [Number(pageToken), Math.min(pageSize, 500)];
        const nextPageToken = ofNamespace.length > start + size ? String(start + size) : "";
        return { charges: ofNamespace.slice(start, start + size), nextPageToken };
      },
      getLogPosition() {
        if (down.value) throw new Error("the usage service is down");
        now += 1n;
        return { now, consumed: heldAt ?? now - 1n };
      },
      listSessionRequests({ namespaceId, sessionId, pageToken }) {
        if (down.value) throw new Error("the usage service is down");
        const mine = sessionRequests.filter((each) => each.namespaceId === namespaceId && each.sessionId === sessionId);
        const start = Number(pageToken);
        const nextPageToken = mine.length > start + 7 ? String(start + 7) : "";
        return { requests: mine.slice(start, start + 7), nextPageToken };
      },
      getRequestCharges({ namespaceId, requestIds }) {
        const requested = new Set(requestIds);
        return {
          charges: charges.filter((each) => each.namespaceId === namespaceId && requested.has(each.requestId ?? "")),
        };
      },
    });
  });
  return { transport, requests, charges, sessionRequests, ...position, usageDown: down, gates };
}
