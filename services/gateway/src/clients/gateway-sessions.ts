import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  type CounterGrant as ProtoGrant,
  type CounterRequestSchema,
  Dimension,
  GatewaySessionService,
  SessionState as ProtoState,
  type SliceGrant as ProtoSliceGrant,
} from "@routeplane/contracts/policy";
import { fromConnectError, fromTimestamp, toTimestamp } from "@routeplane/rpc";
import {
  type CounterGrant,
  type CounterRequest,
  type GatewaySessions,
  NoGatewaySessions,
  type SessionState,
  type SliceDimension,
  type SliceGrant,
  type SliceRequest,
} from "../domain/ports/gateway-sessions.ts";

const DIMENSIONS: Record<SliceDimension, Dimension> = {
  money: Dimension.MONEY,
  requests: Dimension.REQUESTS,
  tokens: Dimension.TOKENS,
  concurrent: Dimension.CONCURRENT,
};

const STATES: Partial<Record<ProtoState, SessionState>> = {
  [ProtoState.OPEN]: "open",
  [ProtoState.SETTLED]: "settled",
  [ProtoState.CLOSED]: "closed",
};

/** Creates the client of the policy service's gateway sessions. @param gateway name of this process, for people */
export function createGatewaySessions(policy: Transport, gateway: string): GatewaySessions {
  const client = createClient(GatewaySessionService, policy);
  const fail = (error: unknown): never => {
    if (ConnectError.from(error).code === Code.Unimplemented) throw new NoGatewaySessions();
    throw fromConnectError(error, "policy");
  };
  return {
    async renew(sessionId, renewal, nonce) {
      const request = { sessionId, renewal: BigInt(renewal), nonce, gateway: gateway.slice(-200) };
      const { state, lengthMs } = await client.renewSession(request).catch(fail);
      return { state: STATES[state] ?? "ended", lengthMs };
    },
    async acquire(sessionId, requests) {
      const protoRequests = requests.map(({ namespaceId, limitSet, counters }) => ({
        namespaceId,
        limitSet,
        counters: counters.map(toProtoRequest),
      }));
      const { state, grants } = await client.acquireSlices({ sessionId, requests: protoRequests }).catch(fail);
      return {
        state: STATES[state] ?? "ended",
        grants: grants.map((grant, index) => fromProtoSliceGrant(grant, requests[index])),
      };
    },
    async close(sessionId, isComplete) {
      await client.closeSession({ sessionId, complete: isComplete }).catch(fail);
    },
  };
}

function toProtoRequest(request: CounterRequest): MessageInitShape<typeof CounterRequestSchema> {
  const { bindingId, dimension, granted, returned, needed, wanted, free, doubt, unused } = request;
  return {
    bindingId,
    dimension: DIMENSIONS[dimension],
    granted: BigInt(granted),
    returned: BigInt(returned),
    needed: BigInt(needed),
    wanted: BigInt(wanted),
    free: BigInt(free),
    doubt: BigInt(doubt),
    rateReturns: unused.map(({ amount, countedAtMs }) => ({
      amount: BigInt(amount),
      countedAt: toTimestamp(new Date(countedAtMs)),
    })),
  };
}

/** @returns undefined for a request that was not processed */
function fromProtoSliceGrant({ granted, counters }: ProtoSliceGrant, request?: SliceRequest): SliceGrant | undefined {
  if (counters.length < (request?.counters.length ?? 0)) return undefined;
  return { granted, counters: counters.map(fromProtoGrant) };
}

function fromProtoGrant({ granted, doubt, rate, remaining, resetsAt }: ProtoGrant): CounterGrant {
  const countedAt = fromTimestamp(rate?.countedAt);
  return {
    granted: Number(granted),
    doubt: Number(doubt),
    rate:
      rate === undefined || countedAt === undefined
        ? undefined
        : { amount: Number(rate.amount), countedAtMs: countedAt.getTime(), validMs: rate.validMs },
    remaining: Number(remaining),
    resetsAtMs: fromTimestamp(resetsAt)?.getTime(),
  };
}
