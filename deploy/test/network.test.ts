import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1";
import { Service } from "kubernetes-models/v1";
import { describe, expect, it } from "vitest";
import { buildKustomization } from "./kustomize.ts";
import { isGoverned, type Labels, allowsConnection, selects } from "./network.ts";
import { type Workload, workloadsOf } from "./workloads.ts";

const MANIFESTS = (await Promise.all(["base", "provision", "bootstrap"].map(buildKustomization))).flat();
const POLICIES = MANIFESTS.filter((manifest) => NetworkPolicy.is(manifest));
const SERVICES = MANIFESTS.filter((manifest) => Service.is(manifest));
const WORKLOADS = workloadsOf(MANIFESTS);

const POSTGRES_PORT = 5432;
const NATS_PORT = 4222;
const OTHER_POD: Labels = { app: "somebody-else" };

/** Addresses of the roles that a workload calls, as `<host>:<port>`. */
const callees = ({ environment }: Workload): readonly string[] =>
  [...environment.values()].flatMap((value) => {
    const url = URL.parse(value ?? "");
    return url?.protocol === "http:" ? [url.host] : [];
  });

describe.each(SERVICES.map((service) => [service.metadata.name, service] as const))("Service %s", (_name, { spec }) => {
  const backends = WORKLOADS.filter(({ labels }) => selects({ matchLabels: spec?.selector }, labels));

  it("targets a port that the pods of one Deployment open", () => {
    expect(backends).toHaveLength(1);
    const opened = backends[0]?.container.ports?.map(({ name }) => name);
    for (const { targetPort } of spec?.ports ?? []) expect(opened).toContain(targetPort);
  });

  it("names its protocol, and is headless if that is HTTP/2, so that clients see every pod", () => {
    const protocol = backends[0]?.role === "gateway" ? "http" : "kubernetes.io/h2c";
    expect(new Set(spec?.ports?.map(({ appProtocol }) => appProtocol))).toEqual(new Set([protocol]));
    expect(spec?.clusterIP === "None").toBe(protocol === "kubernetes.io/h2c");
  });
});

describe.each(WORKLOADS.map((workload) => [workload.name, workload] as const))("%s", (_name, workload) => {
  const { labels, environment, role } = workload;

  it("allows no connection in or out that no policy allows", () => {
    expect(isGoverned(POLICIES, "ingress", labels)).toBe(true);
    expect(isGoverned(POLICIES, "egress", labels)).toBe(true);
    expect(allowsConnection(POLICIES, { from: labels, to: undefined, port: 22 })).toBe(false);
    expect(allowsConnection(POLICIES, { from: labels, to: OTHER_POD, port: 7000 })).toBe(false);
  });

  it("is open to other pods only if it is the gateway", () => {
    const ports = [...new Set(WORKLOADS.flatMap(({ container }) => container.ports ?? []))];
    const open = ports.filter(({ containerPort: port }) =>
      allowsConnection(POLICIES, { from: OTHER_POD, to: labels, port }),
    );
    expect(open.map(({ name }) => name)).toEqual(role === "gateway" ? ["http"] : []);
  });

  it("can connect to the services whose address it is given, and to no others", () => {
    const reachable = WORKLOADS.flatMap(({ name, labels: to, container }) =>
      (container.ports ?? [])
        .filter(({ containerPort: port }) => role !== "gateway" || port !== 8080)
        .filter(({ containerPort: port }) => allowsConnection(POLICIES, { from: labels, to, port }))
        .map(({ containerPort }) => `${name}:${containerPort}`),
    );
    expect(reachable.toSorted()).toEqual(callees(workload).toSorted());
  });

  it("is open to pods marked as internal callers on its port for hot methods, if it has one, and no other", () => {
    const caller: Labels = { ...OTHER_POD, "routeplane/internal-caller": "true" };
    const ports = (workload.container.ports ?? []).filter(({ name }) => name !== "http");
    const open = ports.filter(({ containerPort: port }) =>
      allowsConnection(POLICIES, { from: caller, to: labels, port }),
    );
    expect(open.map(({ name }) => name)).toEqual(["auth", "policy"].includes(role) ? ["grpc-hot"] : []);
  });

  it("can connect to Postgres and NATS if, and only if, it is given their addresses", () => {
    const names = [...environment.keys()];
    const outside = (port: number): boolean => allowsConnection(POLICIES, { from: labels, to: undefined, port });
    expect(outside(POSTGRES_PORT)).toBe(names.some((name) => name.endsWith("DATABASE_URL")));
    expect(outside(NATS_PORT)).toBe(names.includes("ROUTEPLANE_NATS_URL"));
  });
});
