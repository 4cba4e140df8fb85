import { createClient, type Transport } from "@connectrpc/connect";
import { RequestHistoryService, RequestStatus, type SessionRequest as ProtoRequest } from "@routeplane/contracts/usage";
import type { Id } from "@routeplane/domain";
import { fromConnectError, fromTimestamp, toTimestamp } from "@routeplane/rpc";
import type { SessionLog, SessionRequest } from "../domain/sessions/endings.ts";
import type { ReportedEnd } from "../domain/sessions/reports.ts";

const PAGE_SIZE = 1_000;

/** Creates a client of the requests of gateway sessions. @param usage transport to the usage service */
export function createSessionLog(usage: Transport): SessionLog {
  const client = createClient(RequestHistoryService, usage);
  const withDomainErrors = <T>(call: Promise<T>): Promise<T> =>
    call.catch((error: unknown) => {
      throw fromConnectError(error, "usage");
    });
  return {
    async position() {
      const { now, consumed } = await withDomainErrors(client.getLogPosition({}));
      return { now, consumed };
    },

    async *pages(namespaceId, sessionId, { from, to }) {
      const range = { namespaceId, sessionId, from: toTimestamp(from), to: toTimestamp(to), pageSize: PAGE_SIZE };
      for (let pageToken = ""; ;) {
        const page = await withDomainErrors(client.listSessionRequests({ ...range, pageToken }));
        yield page.requests.map(fromProtoRequest);
        pageToken = page.nextPageToken;
        if (pageToken === "") return;
      }
    },
  };
}

function fromProtoRequest(request: ProtoRequest): SessionRequest {
  const { keyId, requestId, limitSet, countedAt, tokensMax, reservedNanoUsd: boundNano, expiresAt } = request;
  return {
    keyId: keyId as Id<"key">,
    requestId: requestId as Id<"req">,
    limitSet,
    countedAtMs: fromTimestamp(countedAt)?.getTime(),
    boundNano,
    tokensMax,
    end: endOf(request),
    expiresAt: fromTimestamp(expiresAt),
  };
}

function endOf({ status, costNanoUsd, tokens }: ProtoRequest): ReportedEnd | undefined {
  if (status === RequestStatus.PENDING) return undefined;
  if (status === RequestStatus.UNKNOWN) return { kind: "unknown" };
  return { kind: "settled", costNano: costNanoUsd, tokens };
}
