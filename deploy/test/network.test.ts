import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1";
import { Service } from "kubernetes-models/v1";
import { describe, expect, it } from "vitest";
import { buildKustomizations } from "./kustomize.ts";
import { type Endpoint, isGoverned, allowsConnection, selects } from "./network.ts";
import { type Workload, workloadsOf } from "./workloads.ts";

const POSTGRES_PORT = 5432;
const NATS_PORT = 4222;
const OPERATIONS_PORT = 9090;
/** Roles that others than the services may call, over HTTP. */
const OPEN = ["gateway", "console"];
const SOMEBODY_ELSE: Endpoint = { labels: { app: "somebody-else" } };
const PROMETHEUS: Endpoint = { labels: { "app.kubernetes.io/name": "prometheus" }, namespace: "monitoring" };
const DNS: Endpoint = { labels: { "k8s-app": "kube-dns" }, namespace: "kube-system" };
/** Addresses that a gateway must not reach: of a cluster, of a machine, and of a cloud's metadata service. */
const PRIVATE_ADDRESSES = [
  "10.1.2.3",
  "172.16.0.1",
  "192.168.1.1",
  "100.64.0.1",
  "127.0.0.1",
  "169.254.169.254",
  "fd00:ec2::254",
  "fe80::1",
];

/** Addresses of the roles that a workload calls, as `<host>:<port>`. */
const callees = ({ environment }: Workload): readonly string[] =>
  [...environment.values()].flatMap((value) => {
    const url = URL.parse(value ?? "");
    return url?.protocol === "http:" ? [url.host] : [];
  });

const INSTALLATIONS = await Promise.all(
  ["base", "production"].map(async (name) => ({
    name,
    manifests: await buildKustomizations(name, "provision", "bootstrap"),
    monitoring: await buildKustomizations("monitoring"),
  })),
);

describe.each(INSTALLATIONS)("network of $name", ({ manifests, monitoring }) => {
  const policies = manifests.filter((manifest) => NetworkPolicy.is(manifest));
  const monitored = [...policies, ...monitoring.filter((manifest) => NetworkPolicy.is(manifest))];
  const services = manifests.filter((manifest) => Service.is(manifest));
  const workloads = workloadsOf(manifests);

  describe.each(services.map((service) => [service.metadata.name, service] as const))(
    "Service %s",
    (name, { spec }) => {
      const backends = workloads.filter(({ labels }) => selects({ matchLabels: spec?.selector }, labels));

      it("targets a port that the pods of one workload open", () => {
        expect(backends).toHaveLength(1);
        const opened = backends[0]?.container.ports?.map((port) => port.name);
        for (const { targetPort } of spec?.ports ?? []) expect(opened).toContain(targetPort);
      });

      it("names its protocol, and is headless for HTTP/2, so that clients see every pod", () => {
        const isOpen = OPEN.includes(backends[0]?.role ?? "");
        const protocol = isOpen ? "http" : "kubernetes.io/h2c";
        expect(new Set(spec?.ports?.map(({ appProtocol }) => appProtocol))).toEqual(new Set([protocol]));
        expect(spec?.clusterIP === "None").toBe(!OPEN.some((open) => name === `routeplane-${open}`));
      });
    },
  );

  describe.each(workloads.map((workload) => [workload.name, workload] as const))("%s", (_name, workload) => {
    const { labels, environment, role } = workload;
    const own: Endpoint = { labels };
    const ports = workload.container.ports ?? [];
    const openTo = (from: Endpoint, rules = policies) =>
      ports
        .filter(({ containerPort: port }) => allowsConnection(rules, { from, to: own, port }))
        .map(({ name }) => name);
    const canReach = (to: Endpoint, port: number): boolean => allowsConnection(policies, { from: own, to, port });

    it("allows no connection in or out unless a policy allows it", () => {
      expect(isGoverned(policies, "ingress", labels)).toBe(true);
      expect(isGoverned(policies, "egress", labels)).toBe(true);
      expect(canReach({ address: "203.0.113.1" }, 22)).toBe(false);
      expect(canReach(SOMEBODY_ELSE, 7000)).toBe(false);
    });

    it("is open to other pods only if it is the gateway or the console", () => {
      expect(openTo(SOMEBODY_ELSE)).toEqual(OPEN.includes(role) ? ["http"] : []);
      expect(openTo({ ...SOMEBODY_ELSE, namespace: "elsewhere" })).toEqual(OPEN.includes(role) ? ["http"] : []);
    });

    it("can connect only to the services whose address it is given", () => {
      const reachable = workloads.flatMap(({ name, labels: to, container }) =>
        (container.ports ?? [])
          .filter(({ name }) => name !== "http")
          .filter(({ containerPort: port }) => canReach({ labels: to }, port))
          .map(({ containerPort }) => `${name}:${containerPort}`),
      );
      expect(reachable.toSorted()).toEqual(callees(workload).toSorted());
    });

    it("is open to pods marked as internal callers on its port for hot methods, if it has one, and no other", () => {
      const caller: Endpoint = { labels: { ...SOMEBODY_ELSE.labels, "routeplane/internal-caller": "true" } };
      const open = openTo(caller).filter((name) => name !== "http");
      expect(open).toEqual(["auth", "policy"].includes(role) ? ["grpc-hot"] : []);
    });

    it("can connect to Postgres and NATS if, and only if, it is given their addresses", () => {
      const names = [...environment.keys()];
      for (const platform of [SOMEBODY_ELSE, { ...SOMEBODY_ELSE, namespace: "data" }, { address: "10.1.2.3" }]) {
        expect(canReach(platform, POSTGRES_PORT)).toBe(names.some((name) => name.endsWith("DATABASE_URL")));
        expect(canReach(platform, NATS_PORT)).toBe(names.includes("ROUTEPLANE_NATS_URL"));
      }
    });

    it("can ask the DNS of the cluster, and send nothing else by UDP", () => {
      const byUdp = (to: Endpoint, port: number): boolean =>
        allowsConnection(policies, { from: own, to, port, protocol: "UDP" });
      expect([byUdp(DNS, 53), canReach(DNS, 53), byUdp({ address: "169.254.20.10" }, 53)]).toEqual([true, true, true]);
      expect([byUdp({ address: "203.0.113.1" }, 53), byUdp(SOMEBODY_ELSE, 53), byUdp(DNS, 443)]).toEqual([
        false,
        false,
        false,
      ]);
    });

    it("can connect to upstreams on the public internet if it is the gateway, and to no private address", () => {
      for (const address of ["203.0.113.1", "2001:db8::1"])
        expect(canReach({ address }, 443), address).toBe(role === "gateway");
      for (const address of PRIVATE_ADDRESSES) expect(canReach({ address }, 443), address).toBe(false);
    });

    it("opens its operations port, if it serves, only to Prometheus, and only with the overlay for it", () => {
      const operations = workload.kind === "Job" ? [] : ["operations"];
      expect(ports.filter(({ containerPort }) => containerPort === OPERATIONS_PORT).map(({ name }) => name)).toEqual(
        operations,
      );
      const withoutHttp = (names: readonly (string | undefined)[]) => names.filter((name) => name !== "http");
      expect(withoutHttp(openTo(PROMETHEUS))).toEqual([]);
      expect(withoutHttp(openTo(PROMETHEUS, monitored))).toEqual(operations);
      const others: readonly Endpoint[] = [
        { ...PROMETHEUS, namespace: "elsewhere" },
        { labels: PROMETHEUS.labels },
        { ...SOMEBODY_ELSE, namespace: "monitoring" },
      ];
      for (const other of others) expect(withoutHttp(openTo(other, monitored))).toEqual([]);
      // The overlay allows no pod that the base leaves alone, and nothing else.
      const isJobOpen = allowsConnection(monitored, { from: PROMETHEUS, to: own, port: OPERATIONS_PORT });
      expect(isJobOpen).toBe(workload.kind !== "Job");
    });
  });
});
