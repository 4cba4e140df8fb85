import type { PolicySpec } from "@routeplane/policy-spec";
import { permits } from "@routeplane/credentials";
import { type Clock, DomainError, FairSlots, type Id, notFound } from "@routeplane/domain";
import { readPastRequests } from "./past-requests.ts";
import type { BoundPrincipal } from "../policies/policy.ts";
import type { KeyDirectory, PolicyStore, RequestHistory } from "../ports.ts";
import { simulate, type Simulation } from "./simulation.ts";
import { type GuardrailInRequest, requireNonEmptySpec, requireValidSpec } from "../policies/spec-rules.ts";

/** What to simulate: a policy that there is, or a draft. */
export type SimulationSubject =
  | { readonly policyId: Id<"pol"> }
  | { readonly spec: PolicySpec; readonly guardrail: GuardrailInRequest | undefined };

export interface SimulationRequest {
  readonly subject: SimulationSubject;
  readonly principal: BoundPrincipal;
  readonly days: number;
}

export interface SimulationResult extends Simulation {
  readonly from: Date;
  readonly to: Date;
  /** Whether the range had more requests than are replayed. */
  readonly truncated: boolean;
}

/**
 * Replays past requests against a policy.
 *
 * @param signal stops the work once it is aborted
 * @throws DomainError NOT_FOUND, INVALID_ARGUMENT, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAVAILABLE; the reason of the signal
 */
export type SimulatePolicy = (
  caller: { readonly namespaceId: Id<"ns">; readonly scopes: readonly string[] },
  request: SimulationRequest,
  signal: AbortSignal,
) => Promise<SimulationResult>;

export interface SimulatorDependencies {
  readonly policies: PolicyStore;
  readonly keys: KeyDirectory;
  readonly history: RequestHistory;
  readonly clock: Clock;
}

const DAY_MS = 86_400_000;
/** Simulations that run at a time: each holds the past in memory, and takes seconds of processor time. */
const MAX_AT_A_TIME = 2;
/** Simulations of one namespace at a time: one runs and one waits. */
const SHARE = { perOwner: 1, waitingPerOwner: 1 };
/** Well within the longest deadline of a call. */
const WAIT_MS = 10_000;

export function createSimulatePolicy({ policies, keys, history, clock }: SimulatorDependencies): SimulatePolicy {
  const slots = new FairSlots({ total: MAX_AT_A_TIME, ...SHARE, waitMs: WAIT_MS, refusal: limitReached });
  return async ({ namespaceId, scopes }, { subject, principal, days }, signal) => {
    requireUsageRead(scopes);
    const spec = await specOf(policies, namespaceId, subject);
    await requirePrincipal(keys, namespaceId, principal);
    return slots.run(namespaceId, async () => {
      const to = new Date(clock());
      const asked = { namespaceId, principal, from: new Date(to.getTime() - days * DAY_MS), to };
      const { requests, from, truncated } = await readPastRequests(history, keys, asked, signal);
      return { ...(await simulate(spec, requests, signal)), from, to, truncated };
    });
  };
}

/** The answer tells what keys did and spent. */
function requireUsageRead(scopes: readonly string[]): void {
  const scope = "usage:read";
  if (permits(scopes, scope)) return;
  const message = `this needs the scope ${scope}, which your key does not hold`;
  throw new DomainError("permission_denied", "SCOPE_MISSING", message, { metadata: { scope } });
}

async function specOf(policies: PolicyStore, namespaceId: Id<"ns">, subject: SimulationSubject): Promise<PolicySpec> {
  if ("spec" in subject) {
    await requireValidSpec(subject.guardrail);
    return requireNonEmptySpec(subject.spec);
  }
  const policy = await policies.find(namespaceId, subject.policyId);
  if (policy === undefined) throw notFound();
  return policy.spec;
}

async function requirePrincipal(keys: KeyDirectory, namespaceId: Id<"ns">, principal: BoundPrincipal): Promise<void> {
  const known =
    principal.type === "namespace"
      ? principal.id === namespaceId
      : (await keys.find(namespaceId, principal.id)) !== undefined;
  if (!known) throw notFound();
}

function limitReached(): DomainError {
  const message = `simulations of a namespace run one at a time, of all ${MAX_AT_A_TIME}; try again when one has ended`;
  const metadata = { limit: String(SHARE.perOwner) };
  return new DomainError("resource_exhausted", "LIMIT_REACHED", message, { metadata });
}
