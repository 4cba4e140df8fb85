import {
  type Admitted,
  type GuardrailDecision as ProtoGuardrailDecision,
  Outcome as ProtoOutcome,
  type Price as ProtoPrice,
  type Settled,
  type ShadowDenial as ProtoShadowDenial,
  type UnloggedDenials as ProtoUnloggedDenials,
  type UsageEvent,
} from "@routeplane/contracts/events";
import { parseId } from "@routeplane/domain";
import { fromTimestamp } from "@routeplane/rpc";
import {
  findFault,
  type GuardrailDecision,
  type LoggedRequest,
  type Outcome,
  withoutImplausible,
  type Price,
  type Receipt,
  type ShadowDenial,
} from "../domain/request.ts";
import { findDenialsFault, type UnloggedDenials } from "../domain/unlogged-denials.ts";

const OUTCOMES: Readonly<Record<ProtoOutcome, Outcome | undefined>> = {
  [ProtoOutcome.UNSPECIFIED]: undefined,
  [ProtoOutcome.SUCCEEDED]: "succeeded",
  [ProtoOutcome.FAILED]: "failed",
  [ProtoOutcome.CANCELLED]: "cancelled",
  [ProtoOutcome.DENIED]: "denied",
};

/** Longer texts are cut: a request's money matters more than the end of a name. */
const MAX_TEXT_LENGTH = 256;

/** As many bindings as a principal can have; more are left out of the row. */
const MAX_SHADOW_DENIALS = 100;

/** As many as a gateway says. */
const MAX_GUARDRAIL_DECISIONS = 50;

/** For a gateway that does not say when a request is to be taken for lost. */
const DEFAULT_LIFE_MS = 24 * 60 * 60 * 1000;

/** What an event says of its request, or the rule that it breaks. */
export function fromProtoUsageEvent(
  event: UsageEvent,
): { readonly request: LoggedRequest } | { readonly fault: string } {
  const { request: facts, phase } = event;
  const namespaceId = parseId("ns", facts?.namespaceId ?? "");
  const id = parseId("req", facts?.requestId ?? "");
  const keyId = parseId("key", facts?.keyId ?? "");
  const createdAt = fromTimestamp(facts?.createdAt);
  if (namespaceId === undefined) return { fault: "namespace_id: must be ns_…" };
  if (id === undefined) return { fault: "request_id: must be req_…" };
  if (keyId === undefined) return { fault: "key_id: must be key_…" };
  if (facts === undefined || createdAt === undefined) return { fault: "created_at: is required" };
  const state = fromProtoPhase(phase, createdAt);
  if (state === undefined) return { fault: "phase: must be admitted, or settled with an outcome" };
  const request: LoggedRequest = {
    namespaceId,
    id,
    keyId,
    createdAt,
    endpoint: bounded(facts.endpoint),
    model: bounded(facts.model),
    provider: bounded(facts.provider),
    streamed: facts.streamed,
    ...state,
  };
  const fault = findFault(request);
  return fault === undefined ? { request } : { fault };
}

type Facts = "namespaceId" | "id" | "keyId" | "createdAt" | "endpoint" | "model" | "provider" | "streamed";

/** What the phase decides: everything about a request that is not a fact from the beginning. */
function fromProtoPhase(phase: UsageEvent["phase"], createdAt: Date): Omit<LoggedRequest, Facts> | undefined {
  if (phase.case === "admitted") {
    return {
      status: "pending",
      reservedNanoUsd: phase.value.reservedNanoUsd,
      promptTokens: 0n,
      completionTokens: 0n,
      costNanoUsd: 0n,
      estimated: false,
      httpStatus: 0,
      errorCode: "",
      deniedByPolicyId: "",
      deniedByBindingId: "",
      deniedRule: "",
      shadowDenials: [],
      completedAt: undefined,
      expiresAt: fromTimestamp(phase.value.expiresAt) ?? new Date(createdAt.getTime() + DEFAULT_LIFE_MS),
      receipt: fromProtoReceipt(phase.value),
    };
  }
  const status = phase.case === "settled" ? OUTCOMES[phase.value.outcome] : undefined;
  if (phase.case !== "settled" || status === undefined) return undefined;
  const { promptTokens, completionTokens, costNanoUsd, reservedNanoUsd, estimated, httpStatus } = phase.value;
  return {
    status,
    promptTokens,
    completionTokens,
    costNanoUsd,
    reservedNanoUsd,
    estimated,
    httpStatus,
    errorCode: bounded(phase.value.errorCode),
    deniedByPolicyId: bounded(phase.value.deniedByPolicyId),
    deniedByBindingId: bounded(phase.value.deniedByBindingId),
    deniedRule: bounded(phase.value.deniedRule),
    shadowDenials: phase.value.shadowDenials.slice(0, MAX_SHADOW_DENIALS).map(fromProtoShadowDenial),
    completedAt: fromTimestamp(phase.value.completedAt),
    expiresAt: undefined,
    receipt: fromProtoReceipt(phase.value),
  };
}

type SaidOfDenials = { readonly denials: UnloggedDenials } | { readonly fault: string };

/** Counts of denied requests that have no row, as an event states them, or the rule that the event breaks. */
export function fromProtoUnloggedDenials(event: ProtoUnloggedDenials): SaidOfDenials {
  const namespaceId = parseId("ns", event.namespaceId);
  const id = parseId("den", event.id);
  const keyId = parseId("key", event.keyId);
  const minute = fromTimestamp(event.minute);
  if (namespaceId === undefined) return { fault: "namespace_id: must be ns_…" };
  if (id === undefined) return { fault: "id: must be den_…" };
  if (keyId === undefined) return { fault: "key_id: must be key_…" };
  if (minute === undefined) return { fault: "minute: is required" };
  const [model, provider] = [bounded(event.model), bounded(event.provider)];
  const denials = { namespaceId, id, keyId, minute, model, provider, deniedCount: event.count };
  const fault = findDenialsFault(denials);
  return fault === undefined ? { denials } : { fault };
}

/** What both phases say of it, and what a settlement alone knows. */
function fromProtoReceipt(
  phase: Pick<Admitted, "price" | "admittedAt"> &
    Partial<
      Pick<
        Settled,
        | "cachedPromptTokens"
        | "reasoningTokens"
        | "timeToFirstTokenMs"
        | "upstreamMs"
        | "guardrailDecisions"
        | "billedModel"
      >
    >,
): Receipt {
  const { price, admittedAt, cachedPromptTokens, reasoningTokens, timeToFirstTokenMs, upstreamMs } = phase;
  const { guardrailDecisions = [], billedModel = "" } = phase;
  return withoutImplausible({
    price: price && fromProtoPrice(price),
    billedModel: billedModel === "" ? undefined : bounded(billedModel),
    cachedPromptTokens,
    reasoningTokens,
    admittedAt: fromTimestamp(admittedAt),
    firstTokenMs: timeToFirstTokenMs,
    upstreamMs,
    guardrailDecisions: guardrailDecisions.slice(0, MAX_GUARDRAIL_DECISIONS).map(fromProtoDecision),
  });
}

function fromProtoPrice({ version, inputPicoUsd, outputPicoUsd, requestPicoUsd }: ProtoPrice): Price {
  const price = { version: bounded(version), inputPicoUsd, outputPicoUsd };
  return requestPicoUsd === 0n ? price : { ...price, requestPicoUsd };
}

function fromProtoShadowDenial({ policyId, bindingId, rule }: ProtoShadowDenial): ShadowDenial {
  return { policyId: bounded(policyId), bindingId: bounded(bindingId), rule: bounded(rule) };
}

function fromProtoDecision(decision: ProtoGuardrailDecision): GuardrailDecision {
  const { requestRedactions, responseRedactions, blockedRequest, blockedResponse } = decision;
  return {
    policyId: bounded(decision.policyId),
    bindingId: bounded(decision.bindingId),
    rule: bounded(decision.rule),
    pattern: bounded(decision.pattern),
    requestRedactions,
    responseRedactions,
    blockedRequest,
    blockedResponse,
  };
}

/** Also without NUL, which Postgres cannot hold in a text. */
export function bounded(text: string): string {
  if (text.length <= MAX_TEXT_LENGTH && !text.includes("\0") && text.isWellFormed()) return text;
  return text.slice(0, MAX_TEXT_LENGTH).replaceAll("\0", "").toWellFormed();
}
