import { BlockList, isIPv6 } from "node:net";
import type { INetworkPolicy, INetworkPolicyPeer } from "kubernetes-models/networking.k8s.io/v1";

export type Labels = Readonly<Record<string, string>>;

/** A pod; in the namespace of the policies, unless it names another. */
export interface Pod {
  readonly labels: Labels;
  readonly namespace?: string;
}

/** One end of a connection: a pod, or an address outside the cluster. */
export type Endpoint = Pod | { readonly address: string };

export interface Connection {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly port: number;
  /** TCP by default. */
  readonly protocol?: "TCP" | "UDP";
}

type Direction = "ingress" | "egress";

/** Label that Kubernetes gives every namespace. */
const NAMESPACE_NAME = "kubernetes.io/metadata.name";

interface Selector {
  readonly matchLabels?: unknown;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}

/** True if a selector selects these labels; an empty one selects all. @throws Error for an operator other than `In` */
export function selects(selector: Selector | null | undefined, labels: Labels): boolean {
  const expressions = selector?.matchExpressions ?? [];
  const unknown = expressions.find(({ operator }) => operator !== "In");
  if (unknown !== undefined) throw new Error(`the operator ${unknown.operator} is not supported`);
  return (
    Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => labels[key] === value) &&
    expressions.every(({ key, values = [] }) => values.includes(labels[key] ?? ""))
  );
}

/** True if a policy applies to a pod in this direction. Without one, Kubernetes allows every connection. */
export function isGoverned(policies: readonly INetworkPolicy[], direction: Direction, pod: Labels): boolean {
  return policies.some((policy) => governs(policy, direction, { labels: pod }));
}

/** True if the policies allow a connection at both ends, by the rules of Kubernetes. */
export function allowsConnection(policies: readonly INetworkPolicy[], connection: Connection): boolean {
  return allows(policies, "egress", connection) && allows(policies, "ingress", connection);
}

/** True if one of the policies for the pod allows the other end, or if no policy applies to the pod. */
function allows(policies: readonly INetworkPolicy[], direction: Direction, connection: Connection): boolean {
  const { port, protocol = "TCP" } = connection;
  const [own, peer] = direction === "egress" ? [connection.from, connection.to] : [connection.to, connection.from];
  const governing = policies.filter((policy) => governs(policy, direction, own));
  if (governing.length === 0) return true;
  return governing
    .flatMap((policy) => rulesOf(policy, direction))
    .some(({ peers, ports }) => {
      const portAllowed = ports?.some((allowed) => allowed.port === port && allowed.protocol === protocol) ?? true;
      return portAllowed && (peers?.some((allowed) => matches(allowed, peer)) ?? true);
    });
}

function matches({ podSelector, namespaceSelector, ipBlock }: INetworkPolicyPeer, peer: Endpoint): boolean {
  // Policies see the address of a pod either before or after translation, so address blocks are not relied on for pods.
  if ("address" in peer) return ipBlock !== undefined && contains(ipBlock, peer.address);
  if (ipBlock !== undefined) return false;
  const isNamespaceSelected =
    namespaceSelector === undefined
      ? peer.namespace === undefined
      : peer.namespace !== undefined && selects(namespaceSelector, { [NAMESPACE_NAME]: peer.namespace });
  return isNamespaceSelected && selects(podSelector, peer.labels);
}

function contains({ cidr, except = [] }: { cidr: string; except?: string[] }, address: string): boolean {
  const family = isIPv6(address) ? "ipv6" : "ipv4";
  const isIn = (block: string): boolean => {
    const [network = "", bits] = block.split("/");
    if (isIPv6(network) !== isIPv6(address)) return false;
    const list = new BlockList();
    list.addSubnet(network, Number(bits), family);
    return list.check(address, family);
  };
  return isIn(cidr) && !except.some(isIn);
}

function governs({ spec }: INetworkPolicy, direction: Direction, end: Endpoint): boolean {
  const type = direction === "egress" ? "Egress" : "Ingress";
  return (
    "labels" in end &&
    end.namespace === undefined &&
    spec?.policyTypes?.includes(type) === true &&
    selects(spec.podSelector, end.labels)
  );
}

function rulesOf({ spec }: INetworkPolicy, direction: Direction) {
  if (direction === "egress") return (spec?.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }));
  return (spec?.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }));
}
