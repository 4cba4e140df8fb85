import { createClient, type Transport } from "@connectrpc/connect";
import { type RequestCharge, RequestHistoryService, RequestStatus } from "@routeplane/contracts/usage";
import type { Id } from "@routeplane/domain";
import { fromConnectError, fromTimestamp, toTimestamp } from "@routeplane/rpc";
import type { LoggedCharge } from "../domain/reconciliation/charges.ts";
import type { ChargeLog, Range } from "../domain/reconciliation/reconciliation.ts";

/** Creates a client of the request log. @param usage transport to the usage service */
export function createChargeLog(usage: Transport): ChargeLog {
  const client = createClient(RequestHistoryService, usage);
  const withDomainErrors = <T>(call: Promise<T>): Promise<T> =>
    call.catch((error: unknown) => {
      throw fromConnectError(error, "usage");
    });
  return {
    async nextNamespace(range, after = "" as Id<"ns">) {
      const { namespaceId } = await withDomainErrors(client.getNextNamespace({ after, ...toProtoRange(range) }));
      return namespaceId === "" ? undefined : (namespaceId as Id<"ns">);
    },

    async page(namespaceId, { range, token, size }) {
      const page = { namespaceId, ...toProtoRange(range), pageSize: size, pageToken: token };
      const { charges, nextPageToken } = await withDomainErrors(client.listRequestCharges(page));
      return { charges: charges.map(fromProtoCharge), nextToken: nextPageToken };
    },

    async of(namespaceId, requestIds) {
      const { charges } = await withDomainErrors(
        client.getRequestCharges({ namespaceId, requestIds: [...requestIds] }),
      );
      return charges.map(fromProtoCharge);
    },
  };
}

function toProtoRange({ from, to }: Range) {
  return { from: toTimestamp(from), to: toTimestamp(to) };
}

function fromProtoCharge({ keyId, requestId, status, costNanoUsd, createdAt }: RequestCharge): LoggedCharge {
  return {
    keyId: keyId as Id<"key">,
    requestId: requestId as Id<"req">,
    status: RequestStatus[status].toLowerCase(),
    costNano: costNanoUsd,
    createdAt: fromTimestamp(createdAt) ?? new Date(0),
  };
}
