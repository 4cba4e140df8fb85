import { setTimeout as delay } from "node:timers/promises";
import { type Counter, type Decision, decideAdmission, type RequestBounds } from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import type { AdmissionState, Outstanding } from "../ports.ts";
import type { AppliedLimits } from "./applied-limits.ts";

/** Asks every gateway to return the free part of its slices of these bindings. */
export type AnnounceRecall = (bindingIds: readonly Id<"bnd">[]) => Promise<void>;

export interface RecallsOptions {
  readonly announce: AnnounceRecall;
  /** Counter of a binding as if its rate slices had been returned; the same one if there are none. */
  readonly withoutRateSlices: (bindingId: Id<"bnd">, counter: Counter) => Counter;
  readonly monotonic: () => number;
  /** Called when an admission begins to wait. */
  readonly onWait: () => void;
}

/** Recalls of slices, and the waits of admissions for them. */
export interface Recalls {
  begin(request: RequestBounds): RecallWait;
}

/** Wait of one admission. */
export interface RecallWait {
  /** Bindings whose slices to recall, because the decision would be better without them; none once the wait is over. */
  bindingsToRecall(state: AdmissionState, decision: Decision<AppliedLimits>): readonly Id<"bnd">[];
  /** True if the request would be denied even if everything reserved and set aside on the counters were returned. */
  isFirm(state: AdmissionState): boolean;
  /** Recalls the slices of these bindings, unless that was done a moment ago, and waits a little. */
  recall(bindingIds: readonly Id<"bnd">[]): Promise<void>;
}

/** Wait of an admission, and its minimum number of decisions, which take longer on a busy machine. */
const WAIT_MS = 250;
const MIN_DECISIONS = 6;
/** Longest wait of an admission, on a machine that is too busy for that many decisions. */
const MAX_WAIT_MS = 1_000;
/**
 * Time between two recalls of a binding. Requests in its second half are decided at once: if nothing is returned, not every request of a
 * stream waits.
 */
const RECALL_EVERY_MS = 2 * WAIT_MS;
/** Times between two decisions of a wait; the last is repeated. Slices come back within some milliseconds of a recall. */
const STEPS_MS = [10, 20, 40, 60];
/** Number of bindings beyond which all recalls are forgotten. */
const MAX_BINDINGS = 10_000;

export function createRecalls({ announce, withoutRateSlices, monotonic, onWait }: RecallsOptions): Recalls {
  /** Monotonic time of the last recall of each binding. */
  const recalledAt = new Map<Id<"bnd">, number>();
  const sinceRecall = (bindingId: Id<"bnd">): number => monotonic() - (recalledAt.get(bindingId) ?? -Infinity);

  return {
    begin(request) {
      const beganAtMs = monotonic();
      const joined = new Set<Id<"bnd">>();
      let steps = 0;
      const isOver = (): boolean => {
        const waitedMs = monotonic() - beganAtMs;
        return waitedMs >= MAX_WAIT_MS || (waitedMs >= WAIT_MS && steps >= MIN_DECISIONS);
      };
      return {
        bindingsToRecall({ outstanding, bindings, now }, decision) {
          const isFinal = decision.outcome === "admit" && decision.outputTokensMax === request.outputTokensMax;
          if (isFinal || isOver()) return [];
          const sliced: Id<"bnd">[] = [];
          const returned = bindings.map((binding) => {
            const { bindingId } = binding;
            const counter = withoutSlices(withoutRateSlices(bindingId, binding.counter), outstanding.get(bindingId));
            if (counter === binding.counter) return binding;
            sliced.push(bindingId);
            return Object.assign({ ...binding }, { counter });
          });
          if (sliced.length === 0) return [];
          if (!isBetter(decideAdmission(request, returned, now.getTime()), decision)) return [];
          return sliced.filter(
            (id) => joined.has(id) || sinceRecall(id) < WAIT_MS || sinceRecall(id) >= RECALL_EVERY_MS,
          );
        },

        isFirm({ bindings, now }) {
          const ended = bindings.map((binding) => {
            const counter = withoutRateSlices(binding.bindingId, binding.counter);
            return Object.assign({ ...binding }, { counter: { ...counter, reservedNano: 0n, openReservations: 0n } });
          });
          return decideAdmission(request, ended, now.getTime()).outcome === "deny";
        },

        async recall(bindingIds) {
          if (steps === 0) onWait();
          for (const id of bindingIds) joined.add(id);
          const due = bindingIds.filter((id) => sinceRecall(id) >= RECALL_EVERY_MS);
          if (recalledAt.size > MAX_BINDINGS) recalledAt.clear();
          for (const id of due) recalledAt.set(id, monotonic());
          if (due.length > 0) await announce(due);
          await delay(STEPS_MS[Math.min(steps++, STEPS_MS.length - 1)]);
        },
      };
    },
  };
}

function withoutSlices(counter: Counter, outstanding: Outstanding | undefined): Counter {
  if (outstanding === undefined) return counter;
  return {
    ...counter,
    reservedNano: counter.reservedNano - outstanding.nano,
    openReservations: counter.openReservations - outstanding.slots,
  };
}

function isBetter(a: Decision<AppliedLimits>, b: Decision<AppliedLimits>): boolean {
  if (a.outcome === "deny") return false;
  return b.outcome === "deny" || a.outputTokensMax > b.outputTokensMax;
}
