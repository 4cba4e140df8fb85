import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import {
  type CounterRequest,
  Dimension,
  type GatewaySessionService,
  type SettlementReportSchema,
  type SliceRequestSchema,
} from "@routeplane/contracts/policy";
import { type Id, newId } from "@routeplane/domain";

/** Amounts of a request for a slice. */
type CounterInit = Partial<Pick<CounterRequest, "granted" | "returned" | "needed" | "wanted" | "free" | "doubt">>;

/** Fields of a report that tests change. */
export interface ReportInit {
  readonly namespaceId: string;
  readonly keyId: string;
  readonly requestId: string;
  readonly sessionId: string;
  readonly limitSet: number;
  readonly boundNanoUsd: bigint;
  readonly tokensMax?: bigint;
  readonly countedAt?: Timestamp;
  readonly end?: NonNullable<MessageInitShape<typeof SettlementReportSchema>["end"]>;
}

/** Session of a gateway whose sums the test sets. */
export function openGateway(sessions: Client<typeof GatewaySessionService>, sessionId = newId("gws")) {
  const gateway = {
    sessionId,
    renew: (renewal = 1n, nonce = 7n) => sessions.renewSession({ sessionId, renewal, nonce, gateway: "test" }),
    acquire: (...requests: MessageInitShape<typeof SliceRequestSchema>[]) =>
      sessions.acquireSlices({ sessionId, requests }),
    /** Acquires money of one counter, under limit set 1. */
    async money(namespaceId: Id<"ns">, bindingId: Id<"bnd">, counter: CounterInit, limitSet = 1) {
      const counters = [{ bindingId, dimension: Dimension.MONEY, ...counter }];
      const { state, grants } = await gateway.acquire({ namespaceId, limitSet, counters });
      const [grant] = grants;
      return { state, isGranted: grant?.granted, ...grant?.counters[0] };
    },
    report: async (...reports: ReportInit[]) => (await sessions.reportSettlements({ reports })).outcomes,
    /** Report of a request on limit set 1, settled at this cost. */
    settled: (
      namespaceId: Id<"ns">,
      boundNanoUsd: bigint,
      costNanoUsd: bigint,
      more: Partial<ReportInit> = {},
    ): ReportInit => {
      const names = { namespaceId, keyId: newId("key"), requestId: newId("req"), sessionId, limitSet: 1 };
      return { ...names, boundNanoUsd, end: { case: "settled" as const, value: { costNanoUsd, tokens: 0n } }, ...more };
    },
    close: (complete = true) => sessions.closeSession({ sessionId, complete }),
  };
  return gateway;
}
