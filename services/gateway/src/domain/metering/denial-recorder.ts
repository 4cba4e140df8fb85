import type { Clock, Id } from "@routeplane/domain";
import type { Component, Logger } from "@routeplane/runtime";
import type { Denial } from "../errors/denial.ts";
import type { Refusal } from "../errors/refusal.ts";
import type { CallingKey } from "../ports/key-verifier.ts";
import type { RequestFacts } from "./request-facts.ts";
import type { OutboxOffset, Decisions, Settlement, UnloggedDenials, UsageLog } from "../ports/usage-log.ts";
import { NO_RECEIPT } from "./receipt.ts";
import type { Settlements } from "./settlements.ts";

/** Bound of the rows that denied requests of one key get in a minute, at one gateway. */
export const MAX_ROWS_OF_KEY = 60;
/** Bound of the rows that a root key and all its sub-keys get in a minute: sub-keys are free to mint. */
export const MAX_ROWS_OF_ROOT_KEY = 300;
/** Bound of the counts of a root key that are separate by key, model and provider; beyond it they are added to the root key's. */
const MAX_COUNTS_OF_ROOT_KEY = 256;

const MINUTE_MS = 60_000;
const FLUSH_MS = 5_000;

/** Denied request, to be recorded. */
export interface DeniedRequest {
  readonly facts: RequestFacts;
  readonly caller: CallingKey;
  readonly refusal: Refusal;
  readonly denial: Denial;
  readonly decisions: Decisions;
  /** Release that was enqueued before the admission was requested; absent if none was requested. */
  readonly pendingRelease?: OutboxOffset;
}

/**
 * Recorder of denied requests: the first ones of a key in a minute become rows of the request log, the others are counted, which
 * costs neither a write nor an event each. Counts are sent every 5 s and when the gateway stops. A gateway that is killed loses
 * the counts of its last 5 s, and no money: a denied request costs nothing.
 */
export interface DenialRecorder extends Component {
  /** @throws DomainError UNAVAILABLE if the row of a request without a pending release cannot be recorded */
  record(request: DeniedRequest): void;
}

export interface DenialRecorderOptions {
  readonly usageLog: UsageLog;
  readonly settlements: Settlements;
  readonly log: Logger;
  readonly clock: Clock;
}

/** Count of denied requests until it is sent. */
type Count = { -readonly [K in keyof UnloggedDenials]: UnloggedDenials[K] };

export function createDenialRecorder({ usageLog, settlements, log, clock }: DenialRecorderOptions): DenialRecorder {
  const rows = new RowsOfMinute();
  /** Counts, keyed by root key, then by `countKeyOf`. */
  let counts = new Map<Id<"key">, Map<string, Count>>();
  let timer: NodeJS.Timeout | undefined;

  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const due = [...counts.values()].flatMap((ofRoot) => Array.from(ofRoot.values()));
    counts = new Map();
    for (const count of due) {
      try {
        usageLog.recordUnloggedDenials(count);
      } catch (error) {
        log.error({ err: error, denied: count.count }, "count of denied requests lost");
      }
    }
  };
  const count = (facts: RequestFacts, rootKeyId: Id<"key">, minute: Date): void => {
    const ofRoot = counts.get(rootKeyId) ?? new Map<string, Count>();
    counts.set(rootKeyId, ofRoot);
    const { namespaceId, keyId, model, provider } = facts;
    const own = { namespaceId, keyId, model, provider, minute };
    const ofRootKey = { namespaceId, keyId: rootKeyId, model: "", provider: "", minute };
    const known = ofRoot.get(countKeyOf(own));
    const counted = known ?? (ofRoot.size < MAX_COUNTS_OF_ROOT_KEY ? { ...own, count: 0 } : undefined);
    const target = counted ?? ofRoot.get(countKeyOf(ofRootKey)) ?? { ...ofRootKey, count: 0 };
    target.count += 1;
    ofRoot.set(countKeyOf(target), target);
    timer ??= setTimeout(flush, FLUSH_MS).unref();
  };

  return {
    name: "denials",
    record({ facts, caller, refusal, denial, decisions, pendingRelease }) {
      const [rootKeyId = facts.keyId] = caller.lineage;
      const minute = Math.floor(clock() / MINUTE_MS);
      if (!rows.take(facts.keyId, rootKeyId, minute)) {
        if (pendingRelease !== undefined) usageLog.complete(pendingRelease);
        return count(facts, rootKeyId, new Date(minute * MINUTE_MS));
      }
      const settlement = denialSettlement(refusal, denial, decisions, clock);
      const state = { hasReservation: false, neverSent: true };
      settlements.settle(facts, settlement, {
        ...state,
        pendingRelease: pendingRelease ?? usageLog.enqueueRelease(facts),
      });
    },
    async stop() {
      flush();
    },
  };
}

function countKeyOf({ keyId, model, provider, minute }: Omit<UnloggedDenials, "count">): string {
  return JSON.stringify([keyId, model, provider, minute.getTime()]);
}

/** Settlement of a request that was denied: cost 0. */
function denialSettlement(
  { status, code }: Refusal,
  denial: Denial,
  { shadowDenials, guardrailDecisions }: Decisions,
  clock: Clock,
): Settlement {
  return {
    outcome: "denied",
    completedAt: new Date(clock()),
    promptTokens: 0,
    completionTokens: 0,
    costNanoUsd: 0n,
    reservedNanoUsd: 0n,
    estimated: false,
    httpStatus: status,
    errorCode: code ?? "",
    deniedByPolicyId: denial.policyId,
    deniedByBindingId: denial.bindingId,
    deniedRule: denial.rule,
    deniedAmounts: denial.amounts && { ...denial.amounts, retryAt: denial.retryAt },
    shadowDenials,
    guardrailDecisions,
    ...NO_RECEIPT,
  };
}

/** Rows that keys and root keys have used in the current minute. */
class RowsOfMinute {
  #minute = 0;
  readonly #byKey = new Map<Id<"key">, number>();
  readonly #byRoot = new Map<Id<"key">, number>();

  /** Takes a row for a request of the key. @returns false if the key or its root key has none left in the minute */
  take(keyId: Id<"key">, rootKeyId: Id<"key">, minute: number): boolean {
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#byKey.clear();
      this.#byRoot.clear();
    }
    const [ofKey, ofRoot] = [this.#byKey.get(keyId) ?? 0, this.#byRoot.get(rootKeyId) ?? 0];
    if (ofKey >= MAX_ROWS_OF_KEY || ofRoot >= MAX_ROWS_OF_ROOT_KEY) return false;
    this.#byKey.set(keyId, ofKey + 1);
    this.#byRoot.set(rootKeyId, ofRoot + 1);
    return true;
  }
}
