import type { INetworkPolicy } from "kubernetes-models/networking.k8s.io/v1";

export type Labels = Readonly<Record<string, string>>;

/** A TCP connection. A side without labels is outside the cluster. */
export interface Connection {
  readonly from: Labels | undefined;
  readonly to: Labels | undefined;
  readonly port: number;
}

type Direction = "ingress" | "egress";

/** True if a selector (`matchLabels` alone) selects these labels; an empty one selects all. */
export function selects(selector: { readonly matchLabels?: unknown } | null | undefined, labels: Labels): boolean {
  return Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
}

/** True if a policy applies to a pod in this direction. Without one, Kubernetes allows every connection. */
export function isGoverned(policies: readonly INetworkPolicy[], direction: Direction, pod: Labels): boolean {
  return policies.some((policy) => governs(policy, direction, pod));
}

/** True if the policies allow a connection at both ends, by the rules of Kubernetes. */
export function allowsConnection(policies: readonly INetworkPolicy[], { from, to, port }: Connection): boolean {
  const isEgressAllowed = from === undefined || allows(policies, "egress", { pod: from, peer: to, port });
  return isEgressAllowed && (to === undefined || allows(policies, "ingress", { pod: to, peer: from, port }));
}

/** True if one of the policies that govern a pod allows the peer, or none governs it. */
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
