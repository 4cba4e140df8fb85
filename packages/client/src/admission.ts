import { type Client, Code, createClient } from "@connectrpc/connect";
import { AdmissionService, type Denial } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { fromTimestamp } from "@routeplane/rpc";
import { toRouteplaneError } from "./convert-error.ts";
import { RouteplaneError } from "./error.ts";
import { Grant, type GrantOptions } from "./grant.ts";
import type { Log } from "./log.ts";
import { picoUsdOf, type Price } from "./price.ts";
import { openService, type ServiceOptions } from "./service.ts";
import type { Caller } from "./verifier.ts";

/** Request to admit, with upper bounds on its use. */
export interface AdmissionRequest {
  /** Caller, as a verifier returned it: its budgets and rate limits apply, and those of every key above it. */
  readonly caller: Pick<Caller, "namespaceId" | "lineage">;
  readonly price: Price;
  /** Upper bound on the input tokens. 0 by default. */
  readonly inputTokensMax?: number;
  /** Upper bound on the output tokens, which a grant may lower. 0 by default. */
  readonly outputTokensMax?: number;
  /**
   * Idempotency key of this request and its repetitions, at most 255 characters. Of all requests of the caller's API key with the same
   * idempotency key, one is admitted; the others are refused with IDEMPOTENCY_KEY_USED. None by default.
   */
  readonly idempotencyKey?: string;
  /** `req_…`: repeated calls with the same id make one reservation. A new id by default. */
  readonly requestId?: string;
}

/** Admission of requests within the budgets and rate limits of their callers. Every method rejects with a `RouteplaneError`. */
export interface Admission extends AsyncDisposable {
  /**
   * Reserves the maximum that a request can use. A denial is BUDGET_EXCEEDED or RATE_LIMIT_EXCEEDED: `retryAt` is the time from which the
   * request would be admitted, if waiting helps, and `info` names the policy. A reservation ends exactly once, by settle, void or expiry;
   * one that expires is charged in full.
   */
  readonly admit: (request: AdmissionRequest) => Promise<Grant>;
  /**
   * Admits a request, runs `work`, and ends the reservation: charges the usage that `work` passed to `grant.settle`; charges in full if it
   * did not call that; charges nothing if it threw before.
   *
   * @returns the result of `work`
   */
  readonly run: <T>(request: AdmissionRequest, work: (grant: Grant) => Promise<T>) => Promise<T>;
  /** Ends the connections. Open reservations expire. */
  readonly stop: () => Promise<void>;
}

/** Creates the admission of requests over the policy service of a node. */
export function admission(options: ServiceOptions): Admission {
  const { transport, stop: closeConnections } = openService(options);
  const client = createClient(AdmissionService, transport);
  const { log } = options;
  const release = releaseInBackground();
  const admit = (request: AdmissionRequest): Promise<Grant> => admitBy(client, request, release);
  const stop = (): Promise<void> => Promise.resolve(closeConnections());
  return {
    admit,
    async run(request, work) {
      const grant = await admit(request);
      let result: Awaited<ReturnType<typeof work>>;
      try {
        result = await work(grant);
      } catch (error) {
        await endOrLog(log, grant, () => (grant.isEnded ? grant.ended : grant.void()));
        throw error;
      }
      await endOrLog(log, grant, () => (grant.isEnded ? grant.ended : grant.settleInFull()));
      return result;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/**
 * Ends a reservation, and logs a failure instead of throwing it, so that the result of the work is not lost. The reservation then expires
 * and is charged in full.
 */
async function endOrLog(log: Log | undefined, { requestId }: Grant, end: () => Promise<void>): Promise<void> {
  try {
    await end();
  } catch (error) {
    log?.error({ requestId, err: error }, "reservation not ended: it expires and is charged in full");
  }
}

/** Maximum number of concurrent releases of reservations that may have been made. Further reservations are left to expire. */
const MAX_RELEASES = 1_000;

/** Creates a function that releases reservations in the background. */
function releaseInBackground(): (grant: Grant) => void {
  let running = 0;
  return (grant) => {
    if (running >= MAX_RELEASES) return;
    running++;
    grant
      .void({ neverSent: true })
      .catch(() => {})
      .finally(() => running--);
  };
}

async function admitBy(
  client: Client<typeof AdmissionService>,
  request: AdmissionRequest,
  release: (grant: Grant) => void,
): Promise<Grant> {
  const { caller, inputTokensMax = 0, outputTokensMax = 0, idempotencyKey, requestId = newId("req") } = request;
  const { namespaceId, lineage } = caller;
  requireWholeNumbers({ inputTokensMax, outputTokensMax, ...request.price });
  const price = picoUsdOf(request.price);
  const reservation = { namespaceId, keyId: lineage.at(-1) ?? "", requestId };
  const grantOptions: GrantOptions = { client, reservation, price, inputTokensMax };
  try {
    const { outcome } = await client.admit({
      namespaceId,
      requestId,
      lineage: [...lineage],
      price: { inputPicoUsd: price.input, outputPicoUsd: price.output, requestPicoUsd: price.request },
      inputTokensMax: BigInt(inputTokensMax),
      outputTokensMax: BigInt(outputTokensMax),
      ...(idempotencyKey !== undefined && { idempotencyKey }),
    });
    if (outcome.case === "admission") return new Grant(grantOptions, outcome.value);
    if (outcome.case === "denial") throw toDenialError(outcome.value);
    throw new RouteplaneError(Code.Unavailable, "DEPENDENCY_UNAVAILABLE", "the policy service gave no answer");
  } catch (error) {
    const failure = toRouteplaneError(error);
    // The reservation may have been made despite the error.
    if (IS_UNCERTAIN.has(failure.reason)) release(new Grant(grantOptions));
    throw failure;
  }
}

/** @throws RouteplaneError FIELD_INVALID for a count or price that is not a whole number from 0 */
function requireWholeNumbers(values: Readonly<Record<string, number | undefined>>): void {
  const rule = "must be a whole number from 0";
  const fields = Object.entries(values)
    .filter(([, value]) => value !== undefined && !(Number.isSafeInteger(value) && value >= 0))
    .map(([field]) => ({ field, rule }));
  if (fields.length === 0) return;
  const names = fields.map(({ field }) => field).join(", ");
  throw new RouteplaneError(Code.InvalidArgument, "FIELD_INVALID", `${names}: ${rule}`, { fields });
}

/** Reasons of errors after which it is unknown whether the reservation was made. */
const IS_UNCERTAIN = new Set(["UNREACHABLE", "DEADLINE_EXCEEDED", "DEPENDENCY_UNAVAILABLE"]);

function toDenialError({
  rule,
  message,
  policyId,
  policyName,
  bindingId,
  limit,
  remaining,
  retryAt,
}: Denial): RouteplaneError {
  const reason = rule === "budget" ? "BUDGET_EXCEEDED" : "RATE_LIMIT_EXCEEDED";
  const info = {
    rule,
    policy_id: policyId,
    policy_name: policyName,
    binding_id: bindingId,
    limit: String(limit),
    remaining: String(remaining),
  };
  return new RouteplaneError(Code.ResourceExhausted, reason, message, { info, retryAt: fromTimestamp(retryAt) });
}
