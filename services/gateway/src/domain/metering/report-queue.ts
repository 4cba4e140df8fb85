/**
 * Queue of pending settlements on their way to the policy service, which are reported in bulk: one call and one transaction for
 * many requests instead of one each.
 *
 * Steps. A settlement waits for others, 20 ms where the policy service admitted the request, because its reservation is in others' way
 * near a limit, and 250 ms where it was admitted on slices. A report then takes whatever waits, up to 1,000.
 * Concurrency: up to 4 reports are under way; a settlement is in one of them at most. What is added meanwhile waits as long as any
 * other: at 1,000 requests/s there are 4 reports a second, and 240 if each answer sent the next one.
 * Failures: what is unavailable is reported again with growing pauses, for as long as the process runs. If the service refuses a
 * report as a whole, its settlements are reported one by one, so that one of them holds up no other.
 */
import { DomainError } from "@routeplane/domain";
import type { Logger } from "@routeplane/runtime";
import { MAX_REPORTED, type ReportOutcome, type SettlementReports } from "../ports/settlement-reports.ts";
import type { PendingSettlement } from "../ports/usage-log.ts";

/** Settlement that waits for its report. */
export interface QueuedSettlement {
  readonly settlement: PendingSettlement;
  /** Called once it is reported, or refused for good. */
  readonly onReported: () => void;
}

const CENTRAL_LINGER_MS = 20;
const SLICES_LINGER_MS = 250;
const MAX_IN_FLIGHT = 4;
const MIN_RETRY_MS = 50;
const MAX_RETRY_MS = 5_000;

export class ReportQueue {
  readonly #reports: SettlementReports;
  readonly #log: Logger;
  #waiting: QueuedSettlement[] = [];
  #size = 0;
  #inFlight = 0;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  /** True if settlements waited long enough while as many reports as may be were under way. */
  #isOverdue = false;
  #isFlushing = false;
  #isStopped = false;
  #empty: PromiseWithResolvers<void> | undefined;

  constructor(reports: SettlementReports, log: Logger) {
    this.#reports = reports;
    this.#log = log;
  }

  /** Settlements that will be added once the log has acknowledged them. */
  expected = 0;

  /** Settlements that are not reported yet. */
  get size(): number {
    return this.#size + this.expected;
  }

  add(queued: QueuedSettlement): void {
    this.#size++;
    this.#waiting.push(queued);
    if (this.#failures === 0)
      this.#schedule(queued.settlement.slices === undefined ? CENTRAL_LINGER_MS : SLICES_LINGER_MS);
  }

  /** Resolves once nothing waits; what is added meanwhile is reported at once. */
  async flush(): Promise<void> {
    this.#isFlushing = true;
    if (this.size === 0) return;
    this.#empty ??= Promise.withResolvers<void>();
    if (this.#failures === 0) this.#schedule(0);
    await this.#empty.promise;
  }

  /** Reports nothing again from now on: what is unavailable waits for the next process. */
  stop(): void {
    this.#isStopped = true;
    if (this.#failures > 0) clearTimeout(this.#timer);
  }

  #resolveEmpty(): void {
    this.#empty?.resolve();
    this.#empty = undefined;
  }

  #schedule(lingerMs: number): void {
    if (lingerMs === 0 || (this.#isFlushing && this.#failures === 0)) return this.#send();
    const dueAt = performance.now() + lingerMs;
    if (dueAt >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => this.#send(), lingerMs);
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#dueAt = Number.POSITIVE_INFINITY;
    while (this.#waiting.length > 0 && this.#inFlight < MAX_IN_FLIGHT) {
      const batch = this.#waiting.splice(0, MAX_REPORTED);
      this.#inFlight++;
      void this.#report(batch).finally(() => {
        this.#inFlight--;
        if (this.size === 0) this.#resolveEmpty();
        else if (this.#waiting.length > 0 && this.#failures === 0 && this.#isSendDue()) this.#schedule(0);
      });
    }
    this.#isOverdue = this.#waiting.length > 0;
  }

  /** True once what waits has waited long enough, or nothing else will send it: what was added during an outage. */
  #isSendDue(): boolean {
    return this.#isOverdue || this.#isFlushing || this.#dueAt === Number.POSITIVE_INFINITY;
  }

  async #report(batch: readonly QueuedSettlement[]): Promise<void> {
    const outcomes = await this.#outcomesOf(batch);
    const again = batch.filter((queued, index) => {
      const outcome = outcomes[index] ?? "again";
      if (outcome !== "again") this.#end(queued);
      return outcome === "again";
    });
    if (again.length === 0) {
      this.#failures = 0;
      return;
    }
    this.#waiting.unshift(...again);
    if (this.#isStopped) return;
    const waitMs = Math.min(MIN_RETRY_MS * 2 ** Math.min(this.#failures++, 10), MAX_RETRY_MS);
    // Jitter, so that a service that comes back does not receive all of them at once.
    this.#schedule(waitMs * (0.5 + Math.random() / 2));
  }

  #end({ onReported, settlement: { requestId } }: QueuedSettlement): void {
    this.#size--;
    try {
      onReported();
    } catch (error) {
      this.#log.error(
        { err: error, requestId },
        "settlement sent but not marked as complete: the next process sends it again",
      );
    }
  }

  /** Reports a batch; one that is refused as a whole, one by one. Never throws. */
  async #outcomesOf(batch: readonly QueuedSettlement[]): Promise<readonly ReportOutcome[]> {
    try {
      return await this.#reports.report(batch.map(({ settlement }) => settlement));
    } catch (error) {
      if (error instanceof DomainError && error.code === "unavailable") return [];
      if (batch.length === 1) {
        const requestId = batch[0]?.settlement.requestId;
        this.#log.error({ err: error, requestId }, "settlement refused by the policy service, given up");
        return ["refused"];
      }
    }
    const outcomes: ReportOutcome[] = [];
    for (const queued of batch) outcomes.push((await this.#outcomesOf([queued]))[0] ?? "again");
    return outcomes;
  }
}
