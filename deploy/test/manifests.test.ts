import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AGGREGATOR_NODE_OPTIONS, CALL_DRAIN_SECS, STOP_TIMEOUT_MS, USAGE_NODE_OPTIONS } from "@routeplane/runtime";
import { DRAIN_TIMEOUT_SECS } from "@routeplane/gateway/src/processes.ts";
import { natsUserConfig } from "@routeplane/standalone/servers";
import { Job } from "kubernetes-models/batch/v1";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1";
import { describe, expect, it } from "vitest";
import { buildKustomizations } from "./kustomize.ts";
import { type Labels, selects } from "./network.ts";
import { isServing, secretsOf, workloadOf, workloadsOf } from "./workloads.ts";

const BASE = await buildKustomizations("base", "provision", "bootstrap");
const MONITORING = await buildKustomizations("monitoring");
const PRODUCTION = await buildKustomizations("production", "provision", "bootstrap");
const INSTALLATIONS = [
  { name: "base", manifests: BASE, workloads: workloadsOf(BASE) },
  { name: "production", manifests: PRODUCTION, workloads: workloadsOf(PRODUCTION) },
];

describe.each(INSTALLATIONS)("secrets of $name", ({ manifests, workloads }) => {
  it("are referenced by name and key only, and the README lists exactly those", async () => {
    const readme = await readFile(join(import.meta.dirname, "../README.md"), "utf8");
    const rows = [...readme.matchAll(/^\| `(routeplane-[a-z-]+)` *\| ([^|]*)\|/gm)];
    const documented = rows.flatMap(([, name = "", keys = ""]) =>
      [...keys.matchAll(/`([a-z-]+)`/g)].map(([, key]) => `${name}/${key}`),
    );
    const used = new Set(workloads.flatMap(secretsOf));
    expect(documented.toSorted()).toEqual([...used].toSorted());
  });

  it("that are credentials are each used by one workload", () => {
    const accepted = "routeplane-callers/accepted";
    const holders = workloads
      .flatMap((workload) => secretsOf(workload).map((secret) => [secret, workload.name] as const))
      .filter(([secret]) => secret !== accepted);
    const shared = holders.filter(([secret]) => holders.filter(([other]) => other === secret).length > 1);
    expect(shared).toEqual([]);
  });

  it("of NATS belong to users with the permissions that the README shows and a local node has", async () => {
    const readme = await readFile(join(import.meta.dirname, "../README.md"), "utf8");
    for (const user of ["gateway", "aggregator"] as const) {
      const shown = natsUserConfig(user, `$${user.toUpperCase()}_PASSWORD`);
      expect(readme).toContain(shown.replaceAll(/^/gm, "    "));
    }
  });

  it("have no value in any manifest", () => {
    expect(manifests.filter(({ kind }) => kind === "Secret")).toEqual([]);
    expect(JSON.stringify(manifests)).not.toMatch(/\b(rp|rpo|rps)_\w|sk-\w|(postgres(ql)?|nats):\/\//);
  });
});

const containers = INSTALLATIONS.flatMap(({ name, manifests, workloads }) =>
  workloads.map((workload) => ({ ...workload, name: `${workload.name} of ${name}`, manifests })),
);

describe.each(containers)("$name", ({ pod, container, manifests }) => {
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

  it("has no token of the Kubernetes API, and no environment variables from Services", () => {
    const accounts = manifests.filter(({ kind }) => kind === "ServiceAccount");
    expect(accounts.map(({ metadata }) => metadata.name)).toContain(pod.serviceAccountName);
    expect(pod.enableServiceLinks).toBe(false);
  });
});

it.each(INSTALLATIONS)(
  "only the aggregator and the query API of $name have heap options, the same as elsewhere",
  ({ workloads }) => {
    const heaps = workloads.map(({ role, environment }) => [role, environment.get("NODE_OPTIONS")] as const);
    expect(new Map(heaps.filter(([, options]) => options !== undefined))).toEqual(
      new Map([
        ["aggregator", AGGREGATOR_NODE_OPTIONS],
        ["usage", USAGE_NODE_OPTIONS],
      ]),
    );
  },
);

describe.each(BASE.filter((manifest) => Job.is(manifest)).map((job) => [job.metadata.name, job] as const))(
  "Job %s",
  (name, { spec }) => {
    it("is retried for at least ten minutes, ends eventually, and is removed so that the next release can be applied", () => {
      const delaysSecs = Array.from({ length: spec?.backoffLimit ?? 0 }, (_, attempt) =>
        Math.min(10 * 2 ** attempt, 360),
      );
      // Bootstrap itself waits five minutes for auth.
      const attemptSecs = name === "routeplane-bootstrap" ? 300 : 0;
      const triedSecs = delaysSecs.reduce((sum, delay) => sum + delay + attemptSecs, 0);
      expect(triedSecs).toBeGreaterThanOrEqual(600);
      expect(spec?.activeDeadlineSeconds).toBe(1_800);
      expect(spec?.ttlSecondsAfterFinished).toBe(300);
      expect(spec?.template.spec?.restartPolicy).toBe("Never");
    });
  },
);

const serving = INSTALLATIONS.flatMap(({ name, manifests, workloads }) =>
  manifests.filter(isServing).map((manifest) => {
    const { selector } = manifest.spec ?? {};
    return {
      workload: workloadOf(manifest),
      name: `${manifest.metadata.name} of ${name}`,
      selector,
      manifests,
      workloads,
    };
  }),
);

describe.each(serving)("$name", ({ workload, selector, manifests, workloads }) => {
  const { kind, pod, container, labels, environment } = workload;

  it("has probes for start, liveness and readiness on its operations port, none of which checks a dependency", () => {
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
    const drainSecs = container.args?.[0] === "gateway" ? DRAIN_TIMEOUT_SECS.fallback : CALL_DRAIN_SECS.fallback;
    expect(environment.get("ROUTEPLANE_DRAIN_TIMEOUT_SECS")).toBeUndefined();
    // The pause only lets callers learn that the pod is ending.
    expect(pauseSecs).toBe(5);
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(pauseSecs + drainSecs + STOP_TIMEOUT_MS / 1_000);
  });

  it("selects its own pods and no others", () => {
    expect(selects(selector, labels)).toBe(true);
    expect(workloads.filter((other) => selects(selector, other.labels))).toHaveLength(1);
  });

  it("spreads the pods of one release over zones and machines, but also starts them if it cannot", () => {
    const release = kind === "StatefulSet" ? "controller-revision-hash" : "pod-template-hash";
    const constraint = { maxSkew: 1, whenUnsatisfiable: "ScheduleAnyway", matchLabelKeys: [release] };
    const keys = ["topology.kubernetes.io/zone", "kubernetes.io/hostname"];
    expect(pod.topologySpreadConstraints).toEqual(
      keys.map((topologyKey) => Object.assign({ topologyKey, labelSelector: selector }, constraint)),
    );
  });

  it("loses one replica at a time while machines are drained, and any that is not ready", () => {
    const budgets = manifests
      .filter((manifest) => PodDisruptionBudget.is(manifest))
      .filter((budget) => selects(budget.spec?.selector, labels));
    expect(budgets.map((budget) => budget.spec)).toEqual([
      { maxUnavailable: 1, unhealthyPodEvictionPolicy: "AlwaysAllow", selector },
    ]);
  });
});

describe("the overlay for Prometheus", () => {
  const specOf = (kind: string) => {
    const found = MONITORING.find((manifest) => manifest.kind === kind);
    return (found as unknown as { spec: Record<string, unknown> } | undefined)?.spec ?? {};
  };

  it("scrapes the operations port of every pod, ready or not", () => {
    expect(specOf("Service")).toMatchObject({ publishNotReadyAddresses: true, ports: [{ targetPort: "operations" }] });
    const service = MONITORING.find(({ kind }) => kind === "Service")?.metadata as { labels?: Labels } | undefined;
    const { selector, endpoints } = specOf("ServiceMonitor") as {
      selector: { matchLabels: Labels };
      endpoints: object[];
    };
    expect(selects(selector, service?.labels ?? {})).toBe(true);
    expect(endpoints).toEqual([expect.objectContaining({ port: "operations", path: "/metrics" })]);
    for (const { workload } of serving) {
      expect(selects({ matchLabels: specOf("Service")["selector"] as Labels }, workload.labels)).toBe(true);
    }
  });
});
