import type { Client } from "@connectrpc/connect";
import type { Admission as ProtoAdmission, AdmissionService } from "@routeplane/contracts/policy";
import { picoToNanoCeil } from "@routeplane/domain";
import { fromTimestamp } from "@routeplane/rpc";
import { toRouteplaneError } from "./convert-error.ts";
import { costOf, type PicoUsd } from "./price.ts";
import { RetryBudget, withRetries } from "./retry.ts";

/** Usage of a request. An absent count is zero if another count or the cost is given; without any of them the usage is not known. */
export interface Usage {
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  /** Cost in nano-USD. By default, the cost of the tokens at the request's price. */
  readonly costNanoUsd?: bigint;
}

export interface GrantOptions {
  readonly client: Client<typeof AdmissionService>;
  /** Identifies the reservation. */
  readonly reservation: { readonly namespaceId: string; readonly keyId: string; readonly requestId: string };
  readonly price: PicoUsd;
  readonly inputTokensMax: number;
}

/** Maximum number of attempts to end a reservation, each with the deadline of a call. */
const END_ATTEMPTS = 4;
const UNANSWERED = new Set(["UNREACHABLE", "DEADLINE_EXCEEDED", "DEPENDENCY_UNAVAILABLE"]);

/** Admitted request. Its reservation ends once: by `settle`, `void`, or its expiry, which charges it in full. */
export class Grant implements AsyncDisposable {
  readonly requestId: string;
  /** Upper bound on the output tokens: that of the request, or a lower one that fits into the limits. */
  readonly outputTokensMax: number;
  /** Maximum cost of the request, reserved on every budget that applies. Nano-USD; 0 if no budget applies. */
  readonly reservedNanoUsd: bigint;
  /** Time at which the reservation expires; undefined if no limit applies, so that there is no reservation. */
  readonly expiresAt: Date | undefined;
  readonly #options: GrantOptions;
  #ended: Promise<void> | undefined;

  constructor(options: GrantOptions, admitted?: ProtoAdmission) {
    this.#options = options;
    this.requestId = options.reservation.requestId;
    this.outputTokensMax = Number(admitted?.outputTokensMax ?? 0n);
    this.reservedNanoUsd = admitted?.reservedNanoUsd ?? 0n;
    this.expiresAt = fromTimestamp(admitted?.expiresAt);
  }

  /** True once `settle` or `void` was called. */
  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** Resolves when the call of `settle` or `void` has ended; at once before such a call. */
  get ended(): Promise<void> {
    return this.#ended ?? Promise.resolve();
  }

  /**
   * Charges the usage of the request, even beyond the reservation, or the whole reservation if the usage is not known. No effect after a
   * first `settle` or `void`.
   *
   * @throws RangeError for a count or cost that is not a whole number from 0, after the whole reservation was charged
   */
  async settle({ inputTokens, outputTokens, costNanoUsd }: Usage): Promise<void> {
    const counts = [inputTokens, outputTokens].filter((count) => count !== undefined);
    const unusable =
      counts.find((count) => !Number.isSafeInteger(count) || count < 0) ??
      (costNanoUsd === undefined || isCost(costNanoUsd) ? undefined : costNanoUsd);
    if (unusable !== undefined || (counts.length === 0 && costNanoUsd === undefined)) await this.settleInFull();
    else await this.#settle(inputTokens, outputTokens, costNanoUsd);
    if (unusable !== undefined)
      throw new RangeError(`a count of tokens or a cost must be a whole number from 0, and is ${unusable}`);
  }

  #settle(inputTokens = 0, outputTokens = 0, costNanoUsd?: bigint): Promise<void> {
    const { client, reservation, price } = this.#options;
    const [input, output] = [BigInt(inputTokens), BigInt(outputTokens)];
    const cost = costNanoUsd ?? picoToNanoCeil(costOf(price, input, output));
    return this.#end(() => client.settle({ ...reservation, costNanoUsd: cost, tokens: input + output }));
  }

  /** Charges the whole reservation, for a request whose usage is not known. */
  settleInFull(): Promise<void> {
    return this.#settle(this.#options.inputTokensMax, this.outputTokensMax);
  }

  /**
   * Releases the reservation without a charge. Limits on requests still count the request, unless it was never sent. No effect after a
   * first `settle` or `void`.
   */
  void({ neverSent = false }: { readonly neverSent?: boolean } = {}): Promise<void> {
    const { client, reservation } = this.#options;
    return this.#end(() => client.void({ ...reservation, neverSent }));
  }

  /** Releases the reservation if it is still open, e.g. at the end of a block with `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await (this.isEnded ? this.ended : this.void());
  }

  /** Ends the reservation once. The call is idempotent, so it is retried a few times until it is answered. */
  #end(call: () => Promise<unknown>): Promise<void> {
    this.#ended ??= withRetries(
      async () => {
        await call().catch((error: unknown) => {
          throw toRouteplaneError(error);
        });
      },
      { budget: new RetryBudget(), maxAttempts: END_ATTEMPTS, isRetryable: ({ reason }) => UNANSWERED.has(reason) },
    );
    return this.#ended;
  }
}

/** Maximum cost that the contract can carry. */
const MAX_COST_NANO_USD = 2n ** 63n - 1n;

function isCost(costNanoUsd: bigint): boolean {
  return typeof costNanoUsd === "bigint" && costNanoUsd >= 0n && costNanoUsd <= MAX_COST_NANO_USD;
}
