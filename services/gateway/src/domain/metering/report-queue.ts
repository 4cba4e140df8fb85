/**
 * Queue of pending settlements on their way to the policy service, which are reported in bulk: one call for many requests, and one
 * transaction for all of a namespace in it.
 *
 * Steps. Settlements wait by namespace for others of it: 20 ms if the policy service admitted the request, because its reservation is in
 * others' way near a limit; 250 ms if it was admitted on slices; and 800 ms if its namespace was reported within the last 5 s. (With 150
 * namespaces of 2 requests/s each, that is 0.5 transactions a request instead of 0.9, and a single request is still reported within 250
 * ms.) While more than 200 namespaces wait, the last case takes 5 ms for each of them, so that a process reports about 200 namespaces a
 * second, but no longer than `maxWithinMs`. (With 1,000 namespaces of a request or two a second each, that is 0.2 transactions a request
 * instead of 1, and 1.5 times the rate of the node.) A report then takes all namespaces that have waited long enough, up to 1,000 settlements.
 * Concurrency: up to 4 reports are under way; a settlement is in one of them at most. Settlements that are added meanwhile wait as long as
 * any other: at 1,000 requests/s that makes 4 reports a second, instead of 240 if each answer sent the next one.
 * Failures: if a report has no answer, or fails for several namespaces, all reports wait, longer each time. A namespace that fails by itself
 * is reported again after a second, and holds up no other. If the service refuses a report as a whole, its settlements are reported one by
 * one, so that a faulty one does not delay the others. A call that is refused for its credential or rate is repeated like one without an
 * answer.
 */
import type { Id } from "@routeplane/domain";
import type { Logger } from "@routeplane/runtime";
import { MAX_REPORTED, type ReportOutcome, type SettlementReports } from "../ports/settlement-reports.ts";
import type { PendingSettlement } from "../ports/usage-log.ts";
import { isLastingRefusal, isUnavailable } from "./lasting-refusal.ts";

/** Settlement that waits for its report. */
export interface QueuedSettlement {
  readonly settlement: PendingSettlement;
  /** Called once it is reported, or refused for good. */
  readonly onReported: () => void;
}

/** Settlements of a namespace that wait. */
interface Group {
  readonly queued: QueuedSettlement[];
  /** Time at which they have waited long enough. */
  dueAt: number;
}

const CENTRAL_LINGER_MS = 20;
const SLICES_LINGER_MS = 250;
/** Time within which a busy namespace is reported while few wait. */
export const REPORT_WITHIN_MS = 1_000;
/** Default of the time within which a busy namespace is reported while many wait. */
export const MAX_REPORT_WITHIN_MS = 5_000;
/** Time within which a busy namespace is reported, for each namespace that waits: 200 namespaces a second take about a tenth of a core. */
const WITHIN_MS_PER_NAMESPACE = 5;
/** Part of that time which is left to the step and to the report itself. */
const REPORT_MS = 200;
/** Number of waiting settlements from which on further ones wait a second at most: half of the capacity. */
const MAX_PATIENT = 10_000;
const BUSY_MS = 5_000;
/** Step of the times at which settlements on slices are due, so that many namespaces share a report. */
const STEP_MS = 100;
/** Namespaces whose last reports are known. Beyond it all are forgotten, so that the next reports of each come sooner. */
const MAX_REPORTED_NAMESPACES = 20_000;
const MAX_IN_FLIGHT = 4;
const MIN_RETRY_MS = 50;
const MAX_RETRY_MS = 5_000;
/** Pause before a namespace that alone failed is reported again. */
const FAILING_RETRY_MS = 1_000;

export class ReportQueue {
  readonly #reports: SettlementReports;
  readonly #log: Logger;
  readonly #maxWithinMs: number;
  readonly #groups = new Map<Id<"ns">, Group>();
  /** Times of the last reports. */
  readonly #reportedAt = new Map<Id<"ns">, number>();
  #size = 0;
  #inFlight = 0;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #isFlushing = false;
  #isStopped = false;
  #empty: PromiseWithResolvers<void> | undefined;

  /** @param maxWithinMs longest time within which a namespace is reported that was reported within the last 5 s */
  constructor(reports: SettlementReports, log: Logger, maxWithinMs = MAX_REPORT_WITHIN_MS) {
    this.#reports = reports;
    this.#log = log;
    this.#maxWithinMs = maxWithinMs;
  }

  /** Settlements that will be added once the log has acknowledged them. */
  expected = 0;

  /** Settlements that are not reported yet. */
  get size(): number {
    return this.#size + this.expected;
  }

  add(queued: QueuedSettlement): void {
    this.#size++;
    const group = this.#groupOf(queued);
    group.queued.push(queued);
    group.dueAt = Math.min(group.dueAt, this.#dueAtOf(queued));
    if (this.#failures === 0) this.#schedule(group.dueAt);
  }

  /** Resolves once nothing waits; what is added meanwhile is reported at once. */
  async flush(): Promise<void> {
    this.#isFlushing = true;
    if (this.size === 0) return;
    this.#empty ??= Promise.withResolvers<void>();
    if (this.#failures === 0) this.#send();
    await this.#empty.promise;
  }

  /** Repeats no report from now on: settlements without an outcome wait for the next process. */
  stop(): void {
    this.#isStopped = true;
    if (this.#failures > 0) clearTimeout(this.#timer);
  }

  #resolveEmpty(): void {
    this.#empty?.resolve();
    this.#empty = undefined;
  }

  #groupOf({ settlement: { namespaceId } }: QueuedSettlement): Group {
    const known = this.#groups.get(namespaceId);
    if (known !== undefined) return known;
    const group: Group = { queued: [], dueAt: Number.POSITIVE_INFINITY };
    this.#groups.set(namespaceId, group);
    return group;
  }

  /** Time at which a settlement that is added now has waited long enough. */
  #dueAtOf({ settlement: { namespaceId, slices } }: QueuedSettlement): number {
    const now = performance.now();
    if (slices === undefined) return now + CENTRAL_LINGER_MS;
    const isBusy = now - (this.#reportedAt.get(namespaceId) ?? Number.NEGATIVE_INFINITY) < BUSY_MS;
    // The unused part of a rate limit is free once the request is reported.
    const lingerMs = isBusy && slices.countedAt === undefined ? this.#withinMs() - REPORT_MS : SLICES_LINGER_MS;
    return Math.ceil((now + lingerMs) / STEP_MS) * STEP_MS;
  }

  /** Time within which a busy namespace is reported now. */
  #withinMs(): number {
    if (this.#size >= MAX_PATIENT) return REPORT_WITHIN_MS;
    return Math.max(REPORT_WITHIN_MS, Math.min(this.#groups.size * WITHIN_MS_PER_NAMESPACE, this.#maxWithinMs));
  }

  #schedule(dueAt: number): void {
    if (this.#isFlushing && this.#failures === 0) return this.#send();
    if (dueAt >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => this.#send(), Math.max(0, dueAt - performance.now()));
  }

  /** Reports what has waited long enough, as far as calls are free, and plans the next report. */
  #send(): void {
    clearTimeout(this.#timer);
    this.#dueAt = Number.POSITIVE_INFINITY;
    while (this.#inFlight < MAX_IN_FLIGHT) {
      const batch = this.#take();
      if (batch.length === 0) break;
      this.#inFlight++;
      void this.#report(batch).finally(() => {
        this.#inFlight--;
        if (this.size === 0) this.#resolveEmpty();
        else if (this.#failures === 0) this.#send();
      });
    }
    if (this.#inFlight === MAX_IN_FLIGHT || this.#failures > 0 || this.#groups.size === 0) return;
    this.#schedule([...this.#groups.values()].reduce((least, { dueAt }) => Math.min(least, dueAt), Infinity));
  }

  /** Takes settlements of namespaces that have waited long enough. */
  #take(): readonly QueuedSettlement[] {
    // A timer can be early by a fraction of a millisecond.
    const now = performance.now() + 1;
    const batch: QueuedSettlement[] = [];
    for (const [namespaceId, { queued, dueAt }] of this.#groups) {
      if (!this.#isFlushing && dueAt > now) continue;
      batch.push(...queued.splice(0, MAX_REPORTED - batch.length));
      if (queued.length === 0) this.#groups.delete(namespaceId);
      if (this.#reportedAt.size >= MAX_REPORTED_NAMESPACES) this.#reportedAt.clear();
      this.#reportedAt.set(namespaceId, now);
      if (batch.length === MAX_REPORTED) break;
    }
    return batch;
  }

  async #report(batch: readonly QueuedSettlement[]): Promise<void> {
    const outcomes = await this.#outcomesOf(batch);
    const again = batch.filter((queued, index) => {
      const outcome = outcomes[index] ?? "again";
      if (outcome === "refused") this.#logRefusal(queued);
      if (outcome !== "again") this.#end(queued);
      return outcome === "again";
    });
    if (again.length === 0) {
      this.#failures = 0;
      return;
    }
    // A namespace that fails by itself holds up no other one.
    const failsAlone = !this.#isFlushing && (again.length < batch.length || (outcomes.length > 0 && isOfOne(again)));
    for (const queued of again) {
      const group = this.#groupOf(queued);
      group.queued.push(queued);
      group.dueAt = failsAlone ? performance.now() + FAILING_RETRY_MS : Number.NEGATIVE_INFINITY;
    }
    if (failsAlone) this.#failures = 0;
    if (failsAlone || this.#isStopped) return;
    const waitMs = Math.min(MIN_RETRY_MS * 2 ** Math.min(this.#failures++, 10), MAX_RETRY_MS);
    // Jitter, so that a service that comes back does not receive all of them at once.
    this.#schedule(performance.now() + waitMs * (0.5 + Math.random() / 2));
  }

  /** Logs a request whose cost is missing from its counters, because it is not reported again. */
  #logRefusal({ settlement: { namespaceId, keyId, requestId } }: QueuedSettlement): void {
    this.#log.error({ namespaceId, keyId, requestId }, "settlement refused by the policy service and dropped");
  }

  #end({ onReported, settlement: { requestId } }: QueuedSettlement): void {
    this.#size--;
    try {
      onReported();
    } catch (error) {
      this.#log.error(
        { err: error, requestId },
        "settlement sent but not marked as complete: a restart sends it again",
      );
    }
  }

  /** Reports a batch; one that is refused as a whole, one by one. Never throws. */
  async #outcomesOf(batch: readonly QueuedSettlement[]): Promise<readonly ReportOutcome[]> {
    try {
      return await this.#reports.report(batch.map(({ settlement }) => settlement));
    } catch (error) {
      if (!isLastingRefusal(error)) {
        if (!isUnavailable(error)) this.#log.warn({ err: error }, "reports refused by the policy service; retrying");
        return [];
      }
      if (batch.length === 1) {
        const requestId = batch[0]?.settlement.requestId;
        this.#log.warn({ err: error, requestId }, "settlement refused by the policy service");
        return ["refused"];
      }
    }
    const outcomes: ReportOutcome[] = [];
    for (const queued of batch) outcomes.push((await this.#outcomesOf([queued]))[0] ?? "again");
    return outcomes;
  }
}

function isOfOne(batch: readonly QueuedSettlement[]): boolean {
  return batch.every(({ settlement }) => settlement.namespaceId === batch[0]?.settlement.namespaceId);
}
