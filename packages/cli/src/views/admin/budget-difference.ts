import type {
  BudgetDifference,
  ChargeDifference,
  CounterDifference,
  SessionDifference,
} from "@routeplane/contracts/policy";
import type { Column } from "../../output/table.ts";
import { fromProtoInteger, fromProtoText, fromProtoTime } from "../values.ts";

/** A request whose charge differs between its budgets and the request log. */
export interface ChargeDifferenceView {
  readonly namespace_id: string;
  readonly key_id: string;
  readonly request_id: string;
  readonly budget_micro_usd: number;
  /** State of the reservation; null if no budget has one. */
  readonly hold_state: string | null;
  readonly log_micro_usd: number;
  /** Status in the request log; null if it has no such request. */
  readonly request_status: string | null;
}

/** A counter of a budget that differs from the sum over its requests. */
export interface CounterDifferenceView {
  readonly namespace_id: string;
  readonly policy_id: string;
  readonly binding_id: string;
  /** `reserved` or `spent`. */
  readonly quantity: string;
  readonly counted_micro_usd: number;
  readonly expected_micro_usd: number;
  /** Upper bound of the expected amount; null if it is not known. */
  readonly expected_micro_usd_max: number | null;
  /** Start of the compared period; null for all time. */
  readonly since: string | null;
}

/** A gateway session whose state and slices do not agree. */
export interface SessionDifferenceView {
  readonly namespace_id: string;
  readonly session_id: string;
  /** Null if no counter differs. */
  readonly binding_id: string | null;
  /** `not_ended`, `no_session`, `closed` or `settled`. */
  readonly fault: string;
  readonly set_aside_micro_usd: number;
}

export interface BudgetDifferenceViews {
  readonly charges: readonly ChargeDifferenceView[];
  readonly counters: readonly CounterDifferenceView[];
  readonly sessions: readonly SessionDifferenceView[];
}

export function fromProtoBudgetDifference({ namespaceId, subject }: BudgetDifference): BudgetDifferenceViews {
  return {
    charges: subject.case === "charge" ? [fromProtoCharge(namespaceId, subject.value)] : [],
    counters: subject.case === "counter" ? [fromProtoCounter(namespaceId, subject.value)] : [],
    sessions: subject.case === "session" ? [fromProtoSession(namespaceId, subject.value)] : [],
  };
}

function fromProtoCharge(namespaceId: string, charge: ChargeDifference): ChargeDifferenceView {
  return {
    namespace_id: namespaceId,
    key_id: charge.keyId,
    request_id: charge.requestId,
    budget_micro_usd: fromProtoInteger(charge.budgetMicroUsd),
    hold_state: fromProtoText(charge.holdState),
    log_micro_usd: fromProtoInteger(charge.logMicroUsd),
    request_status: fromProtoText(charge.requestStatus),
  };
}

function fromProtoCounter(namespaceId: string, counter: CounterDifference): CounterDifferenceView {
  const { expectedMicroUsdMax: max } = counter;
  return {
    namespace_id: namespaceId,
    policy_id: counter.policyId,
    binding_id: counter.bindingId,
    quantity: counter.quantity,
    counted_micro_usd: fromProtoInteger(counter.countedMicroUsd),
    expected_micro_usd: fromProtoInteger(counter.expectedMicroUsd),
    expected_micro_usd_max: max === undefined ? null : fromProtoInteger(max),
    since: fromProtoTime(counter.since),
  };
}

function fromProtoSession(namespaceId: string, session: SessionDifference): SessionDifferenceView {
  return {
    namespace_id: namespaceId,
    session_id: session.sessionId,
    binding_id: fromProtoText(session.bindingId),
    fault: session.fault,
    set_aside_micro_usd: fromProtoInteger(session.setAsideMicroUsd),
  };
}

export const CHARGE_COLUMNS: readonly Column<ChargeDifferenceView>[] = [
  { header: "NAMESPACE", cell: ({ namespace_id }) => namespace_id },
  { header: "KEY", cell: ({ key_id }) => key_id },
  { header: "REQUEST", cell: ({ request_id }) => request_id },
  {
    header: "BUDGETS (micro-usd)",
    cell: ({ hold_state, budget_micro_usd }) => `${budget_micro_usd} ${hold_state ?? "-"}`,
  },
  {
    header: "LOG (micro-usd)",
    cell: ({ request_status, log_micro_usd }) => `${log_micro_usd} ${request_status ?? "-"}`,
  },
];

export const COUNTER_COLUMNS: readonly Column<CounterDifferenceView>[] = [
  { header: "NAMESPACE", cell: ({ namespace_id }) => namespace_id },
  { header: "POLICY", cell: ({ policy_id }) => policy_id },
  { header: "BINDING", cell: ({ binding_id }) => binding_id },
  { header: "COUNTER", cell: ({ quantity }) => quantity },
  { header: "COUNTED (micro-usd)", cell: ({ counted_micro_usd }) => `${counted_micro_usd}` },
  {
    header: "EXPECTED",
    cell: ({ expected_micro_usd: min, expected_micro_usd_max: max }) =>
      max === min ? `${min}` : `${min} to ${max ?? "?"}`,
  },
];

export const SESSION_COLUMNS: readonly Column<SessionDifferenceView>[] = [
  { header: "NAMESPACE", cell: ({ namespace_id }) => namespace_id },
  { header: "SESSION", cell: ({ session_id }) => session_id },
  { header: "BINDING", cell: ({ binding_id }) => binding_id ?? "-" },
  { header: "FAULT", cell: ({ fault }) => fault },
  { header: "SET ASIDE (micro-usd)", cell: ({ set_aside_micro_usd }) => `${set_aside_micro_usd}` },
];
