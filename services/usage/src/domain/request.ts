import type { Id } from "@routeplane/domain";

/** How a request ended. */
export type Outcome = "succeeded" | "failed" | "cancelled" | "denied";

/**
 * `pending` until it is settled: admitted, and its cost not known yet. `unknown` once nobody is expected to settle it any
 * more: what it had reserved is its charge, until a late settlement says better.
 */
export type RequestStatus = "pending" | "unknown" | Outcome;

/** A row of the request log; also what one usage event says of it, because either event suffices to write the row. */
export interface LoggedRequest {
  readonly namespaceId: Id<"ns">;
  readonly id: Id<"req">;
  /** Part of the identity: every event of a request says the same. */
  readonly createdAt: Date;
  readonly keyId: Id<"key">;
  readonly status: RequestStatus;
  readonly endpoint: string;
  readonly model: string;
  readonly provider: string;
  readonly streamed: boolean;
  readonly reservedNanoUsd: bigint;
  readonly promptTokens: bigint;
  readonly completionTokens: bigint;
  readonly costNanoUsd: bigint;
  /** Whether the reservation stands in for usage that was not reported. */
  readonly estimated: boolean;
  /** 0 while pending. */
  readonly httpStatus: number;
  /** Empty if there was none. */
  readonly errorCode: string;
  /** Empty unless denied. */
  readonly deniedByPolicyId: string;
  /** Empty unless denied. */
  readonly deniedByBindingId: string;
  /** Empty unless denied. */
  readonly deniedRule: string;
  /** What bindings in shadow mode would have refused it for. */
  readonly shadowDenials: readonly ShadowDenial[];
  /** Undefined while pending. */
  readonly completedAt: Date | undefined;
  /** While pending, from when on it is `unknown`; else undefined. */
  readonly expiresAt: Date | undefined;
}

/** A rule that would have refused a request, were its binding not in shadow mode. */
export interface ShadowDenial {
  readonly policyId: string;
  readonly bindingId: string;
  readonly rule: string;
}

/** 10^12: nothing reads or writes more in one request. */
const MAX_TOKENS = 10n ** 12n;
/** A million USD: a request that costs more is a fault, and sums of a billion rows still fit. */
const MAX_NANO_USD = 10n ** 15n;
const MIN_TIME_MS = Date.UTC(2000, 0, 1);
const MAX_TIME_MS = Date.UTC(2100, 0, 1);

/** The rule that a request breaks, so that it cannot be stored; undefined if it breaks none. */
export function faultOf(request: LoggedRequest): string | undefined {
  const { createdAt, completedAt, expiresAt, status } = request;
  if (!isPlausible(createdAt)) return "created_at: must be a time between 2000 and 2100";
  if (completedAt !== undefined && !isPlausible(completedAt)) {
    return "completed_at: must be a time between 2000 and 2100";
  }
  if (expiresAt !== undefined && !isPlausible(expiresAt)) return "expires_at: must be a time between 2000 and 2100";
  if ((status === "pending") !== (completedAt === undefined)) return "completed_at: is required once settled";
  const amounts = [
    ["prompt_tokens", request.promptTokens, MAX_TOKENS],
    ["completion_tokens", request.completionTokens, MAX_TOKENS],
    ["cost_nano_usd", request.costNanoUsd, MAX_NANO_USD],
    ["reserved_nano_usd", request.reservedNanoUsd, MAX_NANO_USD],
  ] as const;
  const broken = amounts.find(([, amount, max]) => amount < 0n || amount > max);
  return broken && `${broken[0]}: must be from 0 to ${broken[2]}`;
}

function isPlausible(time: Date): boolean {
  const ms = time.getTime();
  return ms >= MIN_TIME_MS && ms < MAX_TIME_MS;
}
