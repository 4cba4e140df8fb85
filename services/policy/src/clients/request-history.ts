import { createClient, type Transport } from "@connectrpc/connect";
import { type LoggedRequest, RequestHistoryService, RequestStatus } from "@routeplane/contracts/usage";
import { type Id, microToNano } from "@routeplane/domain";
import { fromConnectError, fromTimestamp, toTimestamp } from "@routeplane/rpc";
import type { RequestHistory } from "../domain/ports.ts";
import type { PastRequest } from "../domain/simulation/simulation.ts";

const PAGE_SIZE = 5_000;

/** Creates a client of past requests. @param usage transport to the usage service */
export function createRequestHistory(usage: Transport): RequestHistory {
  const client = createClient(RequestHistoryService, usage);
  return {
    async *pages(namespaceId, from, to) {
      const range = { namespaceId, from: toTimestamp(from), to: toTimestamp(to), pageSize: PAGE_SIZE };
      for (let pageToken = ""; ;) {
        const page = await client.listRequestHistory({ ...range, pageToken }).catch((error: unknown) => {
          throw fromConnectError(error, "usage");
        });
        yield page.requests.map(fromProtoRequest);
        if (page.nextPageToken === "") return;
        pageToken = page.nextPageToken;
      }
    },
  };
}

function fromProtoRequest(request: LoggedRequest): PastRequest {
  const { keyId, status, provider, model, streamed, promptTokens, completionTokens, createdAt } = request;
  const { costMicroUsd, reservedMicroUsd } = request;
  return {
    keyId: keyId as Id<"key">,
    provider,
    model,
    streamed,
    tokens: promptTokens + completionTokens,
    costNano: microToNano(status === RequestStatus.PENDING ? reservedMicroUsd : costMicroUsd),
    startedMs: fromTimestamp(createdAt)?.getTime() ?? 0,
    endedMs: fromTimestamp(request.completedAt)?.getTime(),
  };
}
