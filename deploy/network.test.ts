import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1";
import { Service } from "kubernetes-models/v1";
import { describe, expect, it } from "vitest";
import { buildKustomization } from "./testing/kustomize.ts";
import { isGoverned, type Labels, letsThrough, selects } from "./testing/network.ts";
import { type Workload, workloadsOf } from "./testing/workloads.ts";

const MANIFESTS = [...(await buildKustomization("base")), ...(await buildKustomization("provision"))];
const POLICIES = MANIFESTS.filter((manifest) => NetworkPolicy.is(manifest));
const SERVICES = MANIFESTS.filter((manifest) => Service.is(manifest));
const WORKLOADS = workloadsOf(MANIFESTS);

const POSTGRES_PORT = 5432;
const NATS_PORT = 4222;
const STRANGER: Labels = { app: "somebody-else" };

/** By role, the roles that it is given the address of. */
const callees = ({ environment }: Workload): readonly string[] =>
  [...environment.values()].flatMap((value) => {
    const url = URL.parse(value ?? "");
    return url?.protocol === "http:" ? [url.host] : [];
  });

describe.each(SERVICES.map((service) => [service.metadata.name, service] as const))("Service %s", (_name, { spec }) => {
  const backends = WORKLOADS.filter(({ labels }) => selects({ matchLabels: spec?.selector }, labels));

  it("leads to a port that the pods of one Deployment open", () => {
    expect(backends).toHaveLength(1);
    const opened = backends[0]?.container.ports?.map(({ name }) => name);
    for (const { targetPort } of spec?.ports ?? []) expect(opened).toContain(targetPort);
  });

  it("says what it speaks; what speaks HTTP/2 is headless, so that clients see every pod", () => {
    const protocol = backends[0]?.role === "gateway" ? "http" : "kubernetes.io/h2c";
    expect(new Set(spec?.ports?.map(({ appProtocol }) => appProtocol))).toEqual(new Set([protocol]));
    expect(spec?.clusterIP === "None").toBe(protocol === "kubernetes.io/h2c");
  });
});

describe.each(WORKLOADS.map((workload) => [workload.name, workload] as const))("%s", (_name, workload) => {
  const { labels, environment, role } = workload;

  it("lets nothing in or out but what a policy allows", () => {
    expect(isGoverned(POLICIES, "ingress", labels)).toBe(true);
    expect(isGoverned(POLICIES, "egress", labels)).toBe(true);
    expect(letsThrough(POLICIES, { from: labels, to: undefined, port: 22 })).toBe(false);
    expect(letsThrough(POLICIES, { from: labels, to: STRANGER, port: 7000 })).toBe(false);
  });

  it("is open to strangers only if it is the gateway", () => {
    const ports = [...new Set(WORKLOADS.flatMap(({ container }) => container.ports ?? []))];
    const open = ports.filter(({ containerPort: port }) => letsThrough(POLICIES, { from: STRANGER, to: labels, port }));
    expect(open.map(({ name }) => name)).toEqual(role === "gateway" ? ["http"] : []);
  });

  it("reaches the services whose address it is given, and no others", () => {
    const reachable = WORKLOADS.flatMap(({ name, labels: to, container }) =>
      (container.ports ?? [])
        .filter(({ containerPort: port }) => role !== "gateway" || port !== 8080)
        .filter(({ containerPort: port }) => letsThrough(POLICIES, { from: labels, to, port }))
        .map(({ containerPort }) => `${name}:${containerPort}`),
    );
    expect(reachable.toSorted()).toEqual(callees(workload).toSorted());
  });

  it("serves pods that are marked as internal callers on its port for hot methods, if it has one, and no other", () => {
    const caller: Labels = { ...STRANGER, "routeplane/internal-caller": "true" };
    const ports = (workload.container.ports ?? []).filter(({ name }) => name !== "http");
    const open = ports.filter(({ containerPort: port }) => letsThrough(POLICIES, { from: caller, to: labels, port }));
    expect(open.map(({ name }) => name)).toEqual(["auth", "policy"].includes(role) ? ["grpc-hot"] : []);
  });

  it("reaches Postgres and NATS if, and only if, it is told where they are", () => {
    const names = [...environment.keys()];
    const outside = (port: number): boolean => letsThrough(POLICIES, { from: labels, to: undefined, port });
    expect(outside(POSTGRES_PORT)).toBe(names.some((name) => name.endsWith("DATABASE_URL")));
    expect(outside(NATS_PORT)).toBe(names.includes("ROUTEPLANE_NATS_URL"));
  });
});
