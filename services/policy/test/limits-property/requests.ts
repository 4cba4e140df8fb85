import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Dimension } from "@routeplane/contracts/policy";
import type { Id } from "@routeplane/domain";
import type { SessionRequest } from "../../src/domain/sessions/endings.ts";
import type { FakeSessionLog } from "../fake-session-log.ts";
import type { ReportInit } from "../gateway-under-test.ts";
import { lesser, type Random } from "../random.ts";

/** Real state of a request, independent of what the service or the log knows. */
export interface Request {
  readonly keyId: Id<"key">;
  readonly requestId: Id<"req">;
  readonly sessionId: Id<"gws"> | undefined;
  readonly limitSet: number;
  /** Bindings that it counts on, by dimension. */
  readonly on: readonly Counted[];
  readonly bound: bigint;
  readonly tokensMax: bigint;
  readonly countedAt: Timestamp | undefined;
  /** End; undefined while it runs. */
  end: { readonly cost: bigint; readonly tokens: bigint; readonly neverSent: boolean } | undefined;
  /** Latest state in the stream of the log. Requests that the service admitted itself are not read from the stream. */
  published: "nothing" | "admitted" | "settled";
  isReported: boolean;
}

export interface Counted {
  readonly id: Id<"bnd">;
  readonly dimension: Dimension;
}

export const nameOf = ({ id, dimension }: Counted): string => `${id} ${dimension}`;

/** Draws how a request ends: mostly within its bound. */
export function endOf(random: Random, bound: bigint, tokensMax: bigint): NonNullable<Request["end"]> {
  if (random.chance(0.1)) return { cost: 0n, tokens: 0n, neverSent: true };
  const isOver = random.chance(0.1);
  return {
    cost: isOver ? bound + random.amount(3) : lesser(random.amount(8), bound),
    tokens: isOver ? tokensMax + 5n : lesser(BigInt(random.int(25)), tokensMax),
    neverSent: false,
  };
}

/** Publishes the latest state of a request on the log of its session. */
export function publish(log: FakeSessionLog, namespaceId: Id<"ns">, request: Request): void {
  const { keyId, requestId, sessionId, limitSet, bound: boundNano, tokensMax, countedAt, end } = request;
  if (sessionId === undefined) return;
  request.published = end === undefined ? "admitted" : "settled";
  const isReleased = end?.neverSent === true;
  const logged: SessionRequest = {
    keyId,
    requestId,
    limitSet,
    boundNano,
    tokensMax,
    countedAtMs: countedAt && timestampMs(countedAt),
    end:
      end &&
      (isReleased
        ? { kind: "released", neverSent: true }
        : { kind: "settled", costNano: end.cost, tokens: end.tokens }),
    expiresAt: end === undefined ? new Date(Date.now() + 900_000) : undefined,
  };
  log.publish(namespaceId, sessionId, logged);
}

/** Report by which a gateway settles or releases a request that has ended. */
export function reportOf(namespaceId: Id<"ns">, request: Request): ReportInit {
  const { keyId, requestId, sessionId = "", limitSet, bound, tokensMax, countedAt, end } = request;
  return {
    namespaceId,
    keyId,
    requestId,
    sessionId,
    limitSet,
    boundNanoUsd: sessionId === "" ? 0n : bound,
    tokensMax: sessionId === "" ? 0n : tokensMax,
    ...(countedAt !== undefined && { countedAt }),
    end:
      end?.neverSent === true
        ? { case: "released", value: { neverSent: true } }
        : { case: "settled", value: { costNanoUsd: end?.cost ?? 0n, tokens: end?.tokens ?? 0n } },
  };
}
