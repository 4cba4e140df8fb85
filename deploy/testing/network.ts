import type { INetworkPolicy } from "kubernetes-models/networking.k8s.io/v1";

export type Labels = Readonly<Record<string, string>>;

/** A connection over TCP. A side without labels is somewhere outside that no policy knows by name. */
export interface Connection {
  readonly from: Labels | undefined;
  readonly to: Labels | undefined;
  readonly port: number;
}

type Direction = "ingress" | "egress";

/** Whether a selector (`matchLabels` alone) picks these labels; an empty one picks everything. */
export function selects(selector: { readonly matchLabels?: unknown } | null | undefined, labels: Labels): boolean {
  return Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
}

/** Whether policies apply to a pod in this direction: without one, Kubernetes lets everything through. */
export function isGoverned(policies: readonly INetworkPolicy[], direction: Direction, pod: Labels): boolean {
  return policies.some((policy) => governs(policy, direction, pod));
}

/** Whether the policies let a connection through at both ends, as Kubernetes reads them. */
export function letsThrough(policies: readonly INetworkPolicy[], { from, to, port }: Connection): boolean {
  const leaves = from === undefined || allows(policies, "egress", { pod: from, peer: to, port });
  return leaves && (to === undefined || allows(policies, "ingress", { pod: to, peer: from, port }));
}

/** An end that is allowed by any of the policies that govern it is allowed. */
function allows(
  policies: readonly INetworkPolicy[],
  direction: Direction,
  { pod, peer, port }: { pod: Labels; peer: Labels | undefined; port: number },
): boolean {
  if (!isGoverned(policies, direction, pod)) return true;
  return policies
    .filter((policy) => governs(policy, direction, pod))
    .flatMap((policy) => rulesOf(policy, direction))
    .some(({ peers, ports }) => {
      const portAllowed = ports?.some((allowed) => allowed.port === port && allowed.protocol === "TCP") ?? true;
      const peerAllowed = peers?.some(
        ({ podSelector, namespaceSelector }) =>
          peer !== undefined && podSelector && !namespaceSelector && selects(podSelector, peer),
      );
      return portAllowed && (peerAllowed ?? true);
    });
}

function governs({ spec }: INetworkPolicy, direction: Direction, pod: Labels): boolean {
  const type = direction === "egress" ? "Egress" : "Ingress";
  return spec?.policyTypes?.includes(type) === true && selects(spec.podSelector, pod);
}

function rulesOf({ spec }: INetworkPolicy, direction: Direction) {
  if (direction === "egress") return (spec?.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }));
  return (spec?.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }));
}
