import { permits } from "@routeplane/credentials";
import { type Clock, DomainError, FairSlots, type Id, notFound } from "@routeplane/domain";
import type { PolicySpec } from "@routeplane/policy-spec";
import { readPastRequests } from "./past-requests.ts";
import type { BoundPrincipal } from "../policies/policy.ts";
import type { KeyDirectory, PolicyStore, RequestHistory } from "../ports.ts";
import { simulate, type Simulation } from "./simulation.ts";
import { type GuardrailInRequest, requireNonEmptySpec, type RequireValidSpec } from "../policies/spec-rules.ts";

/** Policy to simulate: an existing one, or a draft. */
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
  /** True if the range has more requests than are replayed. */
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
  readonly requireValidSpec: RequireValidSpec;
  readonly clock: Clock;
}

const DAY_MS = 86_400_000;
/** Number of simulations that run at a time: each has its requests in memory and takes seconds of processor time. */
const MAX_CONCURRENT_SIMULATIONS = 2;
/** Slots of one namespace: one simulation runs and one waits. */
const PER_NAMESPACE = { perOwner: 1, waitingPerOwner: 1 };
/** Longest wait for a slot, well within the longest deadline of a call. */
const SLOT_WAIT_MS = 10_000;

export function createSimulatePolicy(dependencies: SimulatorDependencies): SimulatePolicy {
  const { keys, history, clock } = dependencies;
  const slots = new FairSlots({
    total: MAX_CONCURRENT_SIMULATIONS,
    ...PER_NAMESPACE,
    waitMs: SLOT_WAIT_MS,
    refusal: limitReached,
  });
  return async ({ namespaceId, scopes }, { subject, principal, days }, signal) => {
    requireUsageRead(scopes);
    const spec = await specOf(dependencies, namespaceId, subject);
    await requirePrincipal(keys, namespaceId, principal);
    return slots.run(namespaceId, async () => {
      const to = new Date(clock());
      const query = { namespaceId, principal, from: new Date(to.getTime() - days * DAY_MS), to };
      const { requests, from, truncated } = await readPastRequests(history, keys, query, signal);
      return { ...(await simulate(spec, requests, signal)), from, to, truncated };
    });
  };
}

/** Requires the scope that reads the request log, because a simulation shows the requests and the spend of keys. */
function requireUsageRead(scopes: readonly string[]): void {
  const scope = "usage:read";
  if (permits(scopes, scope)) return;
  const message = `this needs the scope ${scope}, which your key does not hold`;
  throw new DomainError("permission_denied", "SCOPE_MISSING", message, { metadata: { scope } });
}

async function specOf(
  { policies, requireValidSpec }: SimulatorDependencies,
  namespaceId: Id<"ns">,
  subject: SimulationSubject,
): Promise<PolicySpec> {
  if ("spec" in subject) {
    await requireValidSpec(namespaceId, subject.guardrail);
    return requireNonEmptySpec(subject.spec);
  }
  const policy = await policies.find(namespaceId, subject.policyId);
  if (policy === undefined) throw notFound();
  return policy.spec;
}

async function requirePrincipal(keys: KeyDirectory, namespaceId: Id<"ns">, principal: BoundPrincipal): Promise<void> {
  const exists =
    principal.type === "namespace"
      ? principal.id === namespaceId
      : (await keys.find(namespaceId, principal.id)) !== undefined;
  if (!exists) throw notFound();
}

function limitReached(): DomainError {
  const message = `at most one simulation of a namespace, and ${MAX_CONCURRENT_SIMULATIONS} in all, run at a time: try again when one has ended`;
  const metadata = { limit: String(PER_NAMESPACE.perOwner) };
  return new DomainError("resource_exhausted", "LIMIT_REACHED", message, { metadata });
}
