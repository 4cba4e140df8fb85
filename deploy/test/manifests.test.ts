import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AGGREGATOR_NODE_OPTIONS, STOP_TIMEOUT_MS, USAGE_NODE_OPTIONS } from "@routeplane/runtime";
import { DRAIN_TIMEOUT_SECS } from "@routeplane/gateway/src/config.ts";
import { natsUserConfig } from "@routeplane/standalone/servers";
import { Deployment } from "kubernetes-models/apps/v1";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1";
import { describe, expect, it } from "vitest";
import { buildKustomization } from "./kustomize.ts";
import { schemaFaults } from "./strict-schema.ts";
import { type Labels, selects } from "./network.ts";
import { secretsOf, workloadOf, workloadsOf } from "./workloads.ts";

const MANIFESTS = (await Promise.all(["base", "provision", "bootstrap"].map(buildKustomization))).flat();
const WORKLOADS = workloadsOf(MANIFESTS);
const DEPLOYMENTS = MANIFESTS.filter((manifest) => Deployment.is(manifest));

describe("the schema of the Kubernetes API", () => {
  it.each(MANIFESTS.map((manifest) => [manifest.kind, manifest.metadata.name, manifest] as const))(
    "accepts %s %s strictly",
    (_kind, _name, manifest) => {
      expect(schemaFaults(manifest)).toEqual([]);
    },
  );

  it("is applied strictly: an unknown field, a wrong type, a missing field and an unknown kind are faults", () => {
    const service = { apiVersion: "v1", kind: "Service", metadata: { name: "a" } };
    const port = { port: 80, appProtocol: "http" };
    const faultsOf = (spec: object): readonly string[] => schemaFaults({ ...service, spec } as typeof service);
    expect(faultsOf({ ports: [port], selector: { any: "key" } })).toEqual([]);
    expect(faultsOf({ ports: [{ ...port, apProtocol: "http" }] })).toEqual(["/spec/ports/0/apProtocol: unknown field"]);
    expect(faultsOf({ ports: [{ port: "80" }] })).toEqual([expect.stringContaining("/spec/ports/0/port: type")]);
    expect(faultsOf({ ports: [{ name: "http" }] })).toEqual([expect.stringContaining("/spec/ports/0: required")]);
    expect(schemaFaults({ apiVersion: "v1", kind: "Secret" })).toEqual(["/kind: no schema for v1 Secret"]);
  });

  it("gets manifests for any namespace, each with its own name", () => {
    expect(MANIFESTS.filter(({ metadata }) => metadata.namespace !== undefined)).toEqual([]);
    const names = MANIFESTS.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(names).toEqual([...new Set(names)]);
  });
});

describe("secrets", () => {
  it("are referenced by name and key only, and the README lists exactly those", async () => {
    const readme = await readFile(join(import.meta.dirname, "../README.md"), "utf8");
    const rows = [...readme.matchAll(/^\| `(routeplane-[a-z-]+)` *\| ([^|]*)\|/gm)];
    const documented = rows.flatMap(([, name = "", keys = ""]) =>
      [...keys.matchAll(/`([a-z-]+)`/g)].map(([, key]) => `${name}/${key}`),
    );
    const used = new Set(WORKLOADS.flatMap(secretsOf));
    expect(documented.toSorted()).toEqual([...used].toSorted());
  });

  it("that are credentials are used by one workload each", () => {
    const accepted = "routeplane-callers/accepted";
    const holders = WORKLOADS.flatMap((workload) =>
      secretsOf(workload).map((secret) => [secret, workload.name] as const),
    ).filter(([secret]) => secret !== accepted);
    const shared = holders.filter(([secret]) => holders.filter(([other]) => other === secret).length > 1);
    expect(shared).toEqual([]);
  });

  it("of NATS are of users with the permissions that the README shows and a local node has", async () => {
    const readme = await readFile(join(import.meta.dirname, "../README.md"), "utf8");
    for (const user of ["gateway", "aggregator"] as const) {
      const shown = natsUserConfig(user, `$${user.toUpperCase()}_PASSWORD`);
      expect(readme).toContain(shown.replaceAll(/^/gm, "    "));
    }
  });

  it("have no value in any manifest", () => {
    expect(MANIFESTS.filter(({ kind }) => kind === "Secret")).toEqual([]);
    expect(JSON.stringify(MANIFESTS)).not.toMatch(/\b(rp|rpo|rps)_\w|sk-\w|(postgres(ql)?|nats):\/\//);
  });
});

describe("connections to Postgres", () => {
  /** Connections that Postgres leaves by default to roles that are not superuser: 100, less 3. */
  const AVAILABLE = 97;
  /** Roles with a connection for their change feed on top of the pool. */
  const LISTENING = new Set(["auth", "policy"]);

  it("fit a server with Postgres's defaults while every role rolls at once and all migrations run", () => {
    const pooled = DEPLOYMENTS.flatMap((deployment) => {
      const { role, environment } = workloadOf(deployment);
      const size = environment.get("ROUTEPLANE_DATABASE_POOL_SIZE");
      if (size === undefined) return [];
      const { replicas = 1, strategy } = deployment.spec ?? {};
      const pods = replicas + Number(strategy?.rollingUpdate?.maxSurge ?? Number.NaN);
      return [{ role, most: pods * (Number(size) + (LISTENING.has(role) ? 1 : 0)) }];
    });
    expect(pooled.map(({ role }) => role).toSorted()).toEqual(["aggregator", "auth", "policy", "usage"]);
    const jobs = WORKLOADS.filter(({ kind }) => kind === "Job").length;
    const most = pooled.reduce((sum, role) => sum + role.most, jobs);
    expect(most).toBeLessThanOrEqual(AVAILABLE);
  });
});

describe.each(WORKLOADS.map((workload) => [workload.name, workload] as const))("%s", (_name, { pod, container }) => {
  it("runs an image of a pinned version", () => {
    expect(container.image).toMatch(/^[a-z0-9./-]+(:\d+\.\d+\.\d+|@sha256:[0-9a-f]{64})$/);
  });

  it("meets the restricted pod security standard, with a read-only root file system", () => {
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    expect([pod.hostNetwork, pod.hostPID, pod.hostIPC]).toEqual([undefined, undefined, undefined]);
  });

  it("requests CPU and memory, and has a memory limit", () => {
    expect(container.resources).toMatchObject({
      requests: { cpu: expect.any(String), memory: expect.any(String) },
      limits: { memory: expect.any(String) },
    });
  });

  it("has no token of the Kubernetes API and no environment from the Services around it", () => {
    const accounts = MANIFESTS.filter(({ kind }) => kind === "ServiceAccount");
    expect(accounts.map(({ metadata }) => metadata.name)).toContain(pod.serviceAccountName);
    expect(pod.enableServiceLinks).toBe(false);
  });
});

it("aggregator and query API have the same heap options as elsewhere, and no other role has any", () => {
  const heaps = WORKLOADS.map(({ role, environment }) => [role, environment.get("NODE_OPTIONS")] as const);
  expect(new Map(heaps.filter(([, options]) => options !== undefined))).toEqual(
    new Map([
      ["aggregator", AGGREGATOR_NODE_OPTIONS],
      ["usage", USAGE_NODE_OPTIONS],
    ]),
  );
});

describe.each(DEPLOYMENTS.map((deployment) => [deployment.metadata.name, deployment] as const))(
  "%s",
  (_name, deployment) => {
    const { pod, container, labels, environment } = workloadOf(deployment);
    const { selector, replicas = 1 } = deployment.spec ?? {};

    it("has probes for start, liveness and readiness on its operations port, none of which asks for a dependency", () => {
      const { startupProbe, livenessProbe, readinessProbe } = container;
      const paths = [startupProbe, livenessProbe, readinessProbe].map((probe) => probe?.httpGet);
      expect(paths).toEqual(["/livez", "/livez", "/readyz"].map((path) => ({ path, port: "operations" })));
    });

    it("listens on the ports of its probes, on all addresses", () => {
      expect(environment.get("ROUTEPLANE_PORT")).toBe(String(container.ports?.[0]?.containerPort));
      expect(environment.get("ROUTEPLANE_HOST")).toBe("0.0.0.0");
      const operations = container.ports?.find(({ name }) => name === "operations")?.containerPort;
      expect(environment.get("ROUTEPLANE_OPERATIONS_PORT")).toBe(operations?.toString());
      const hot = container.ports?.find(({ name }) => name === "grpc-hot")?.containerPort;
      expect(environment.get("ROUTEPLANE_GRPC_PORT")).toBe(hot?.toString());
    });

    it("is killed only after the time that a process takes to drain and to stop", () => {
      const pauseSecs = container.lifecycle?.preStop?.sleep?.seconds ?? 0;
      const drainSecs = container.args?.[0] === "gateway" ? DRAIN_TIMEOUT_SECS.fallback : 0;
      expect(environment.get("ROUTEPLANE_DRAIN_TIMEOUT_SECS")).toBeUndefined();
      // The pause is for the news that the pod is ending, and for nothing else.
      expect(pauseSecs).toBe(5);
      expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(pauseSecs + drainSecs + STOP_TIMEOUT_MS / 1_000);
    });

    it("selects its own pods and no others, and spreads them", () => {
      expect(selects(selector, labels)).toBe(true);
      expect(WORKLOADS.filter((other) => selects(selector, other.labels))).toHaveLength(1);
      expect(pod.topologySpreadConstraints?.every(({ labelSelector }) => selects(labelSelector, labels))).toBe(true);
    });

    it("keeps all replicas but one while a machine is drained, if it has several", () => {
      const budgets = MANIFESTS.filter((manifest) => PodDisruptionBudget.is(manifest)).filter((budget) =>
        selects(budget.spec?.selector, labels),
      );
      const expected = (replicas ?? 1) > 1 ? [expect.objectContaining({ maxUnavailable: 1 })] : [];
      expect(budgets.map((budget) => budget.spec)).toEqual(expected);
    });
  },
);

describe("the overlay for Prometheus", async () => {
  const overlay = await buildKustomization("monitoring");
  const specOf = (kind: string) => {
    const found = overlay.find((manifest) => manifest.kind === kind);
    return (found as unknown as { spec: Record<string, unknown> } | undefined)?.spec ?? {};
  };

  it("scrapes the operations port of every pod, ready or not, and opens it to Prometheus alone", () => {
    const known = overlay.filter(({ kind }) => kind !== "ServiceMonitor");
    expect(known.flatMap((manifest) => schemaFaults(manifest))).toEqual([]);
    expect(specOf("Service")).toMatchObject({ publishNotReadyAddresses: true, ports: [{ targetPort: "operations" }] });
    const service = overlay.find(({ kind }) => kind === "Service")?.metadata as { labels?: Labels } | undefined;
    const { selector, endpoints } = specOf("ServiceMonitor") as {
      selector: { matchLabels: Labels };
      endpoints: object[];
    };
    expect(selects(selector, service?.labels ?? {})).toBe(true);
    expect(endpoints).toEqual([expect.objectContaining({ port: "operations", path: "/metrics" })]);
    expect(specOf("NetworkPolicy")).toMatchObject({ policyTypes: ["Ingress"], ingress: [{ ports: [{ port: 9090 }] }] });
    for (const { labels } of DEPLOYMENTS.map(workloadOf)) {
      expect(selects({ matchLabels: specOf("Service")["selector"] as Labels }, labels)).toBe(true);
    }
  });
});
