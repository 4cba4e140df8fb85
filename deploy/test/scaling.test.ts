import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { DEFAULT_STREAM_SETTINGS } from "@routeplane/events";
import { DRAIN_TIMEOUT_SECS } from "@routeplane/gateway/src/processes.ts";
import { Deployment, StatefulSet } from "kubernetes-models/apps/v1";
import { HorizontalPodAutoscaler } from "kubernetes-models/autoscaling/v2";
import { Service } from "kubernetes-models/v1";
import { describe, expect, it, onTestFinished } from "vitest";
import { buildKustomization, buildKustomizations, KUSTOMIZE_FOLDER, type Manifest } from "./kustomize.ts";
import { isServing, type Serving, workloadOf } from "./workloads.ts";

const BASE = await buildKustomizations("base", "provision", "bootstrap");
const PRODUCTION = await buildKustomizations("production", "provision", "bootstrap");

const scalersOf = (manifests: readonly Manifest[]) =>
  manifests.filter((manifest) => HorizontalPodAutoscaler.is(manifest));
const scalerOf = (manifests: readonly Manifest[], { kind, metadata }: Manifest) =>
  scalersOf(manifests).find(
    ({ spec }) => spec?.scaleTargetRef.kind === kind && spec.scaleTargetRef.name === metadata.name,
  );

/** Manifests of the base with these components, in this order. */
async function buildWith(...components: readonly string[]): Promise<readonly Manifest[]> {
  const folder = await mkdtemp(join(KUSTOMIZE_FOLDER, "test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const kustomization = { resources: ["../base"], components: components.map((name) => `../components/${name}`) };
  await writeFile(join(folder, "kustomization.yaml"), JSON.stringify(kustomization));
  return buildKustomization(relative(KUSTOMIZE_FOLDER, folder));
}

describe("connections to Postgres", () => {
  /** Connections that Postgres leaves by default to roles that are not superuser: 100, less 3. */
  const AVAILABLE = 97;
  /** Connections on top of the pool: for the change feed, and for the maintenance of partitions. */
  const BESIDE_POOL = new Map([
    ["auth", 1],
    ["policy", 2],
  ]);

  /** Maximum number of connections while every role rolls at once with its maximum number of replicas, and all Jobs run. */
  function mostOf(manifests: readonly Manifest[]): number {
    const pooled = manifests.filter(isServing).flatMap((manifest) => {
      const { role, environment } = workloadOf(manifest);
      const size = environment.get("ROUTEPLANE_DATABASE_POOL_SIZE");
      if (size === undefined) return [];
      const pods = replicasOf(manifests, manifest) + surgeOf(manifest);
      return [{ role, most: pods * (Number(size) + (BESIDE_POOL.get(role) ?? 0)) }];
    });
    expect(pooled.map(({ role }) => role).toSorted()).toEqual(["aggregator", "auth", "policy", "usage"]);
    return pooled.reduce((sum, { most }) => sum + most, manifests.filter(({ kind }) => kind === "Job").length);
  }

  const replicasOf = (manifests: readonly Manifest[], manifest: Serving): number =>
    scalerOf(manifests, manifest)?.spec?.maxReplicas ?? manifest.spec?.replicas ?? 1;
  const surgeOf = (manifest: Serving): number =>
    Deployment.is(manifest) ? Number(manifest.spec?.strategy?.rollingUpdate?.maxSurge ?? Number.NaN) : 0;

  it("of the base fit a server with Postgres's defaults while every role rolls at once and all Jobs run", () => {
    expect(mostOf(BASE)).toBeLessThanOrEqual(AVAILABLE);
  });

  it("of `production`, scaled to its maximum, are as many as the README states", async () => {
    const readme = await readFile(join(import.meta.dirname, "../README.md"), "utf8");
    const [, documented] = /`production` scaled to its bounds needs\s+(\d+) connections/.exec(readme) ?? [];
    expect(documented).toBe(String(mostOf(PRODUCTION)));
  });
});

describe("the base", () => {
  it("has two replicas of each role, replaced one by one without running fewer", () => {
    for (const manifest of BASE.filter(isServing)) {
      expect(manifest, manifest.metadata.name).toMatchObject({
        kind: "Deployment",
        spec: { replicas: 2, strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } },
      });
    }
    expect(scalersOf(BASE)).toEqual([]);
  });
});

describe.each(PRODUCTION.filter(isServing).map((manifest) => [manifest.metadata.name, manifest] as const))(
  "autoscaling of %s",
  (_name, manifest) => {
    const { role, container, environment } = workloadOf(manifest);
    const spec = scalerOf(PRODUCTION, manifest)?.spec;

    it("uses the requested CPU of the container as its base, with a target of half a core per process", () => {
      expect(spec?.metrics).toEqual([
        { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 100 } } },
      ]);
      const processes = environment.get("ROUTEPLANE_GATEWAY_PROCESSES");
      expect(processes).toBe(role === "gateway" ? "2" : undefined);
      expect(container.resources?.requests?.["cpu"]).toBe(role === "gateway" ? "1" : "500m");
      expect(container.resources?.limits?.["cpu"]).toBe(processes);
    });

    it("adds and removes one replica at a time, no faster than it drains", () => {
      const { scaleUp, scaleDown } = spec?.behavior ?? {};
      for (const policy of [scaleUp, scaleDown]) {
        expect(policy?.policies).toEqual([{ type: "Pods", value: 1, periodSeconds: expect.any(Number) }]);
      }
      const drainSecs = role === "gateway" ? DRAIN_TIMEOUT_SECS.fallback : 60;
      expect(scaleDown?.policies?.[0]?.periodSeconds).toBeGreaterThanOrEqual(drainSecs);
    });

    it("is the only source of the number of replicas, which is never below two", () => {
      expect(manifest.spec?.replicas).toBeUndefined();
      expect(spec?.minReplicas).toBe(2);
      expect(spec?.maxReplicas).toBeGreaterThan(2);
    });
  },
);

it("starts no more aggregators than there are partitions to own", () => {
  const aggregator = scalersOf(PRODUCTION).find(({ metadata }) => metadata?.name === "routeplane-aggregator");
  expect(aggregator?.spec?.maxReplicas).toBeLessThanOrEqual(DEFAULT_STREAM_SETTINGS.partitions);
});

describe("gateways with volumes", () => {
  const gateway = PRODUCTION.find((manifest) => StatefulSet.is(manifest));

  it("are a StatefulSet with the pods and name of the Deployment that it replaces", () => {
    const gateways = PRODUCTION.filter((manifest) => isServing(manifest) && workloadOf(manifest).role === "gateway");
    expect(gateways).toEqual([gateway]);
    expect(gateway?.metadata.name).toBe("routeplane-gateway");
  });

  it("write each spool to a volume that outlives its pod and scaling, as the user of the process", () => {
    const { pod, container, environment } = workloadOf(gateway ?? expect.fail("no StatefulSet"));
    const claim = gateway?.spec?.volumeClaimTemplates?.[0];
    const mount = container.volumeMounts?.find(({ name }) => name === claim?.metadata?.name);
    // Not the root of the volume, which may hold `lost+found` of root.
    expect(environment.get("ROUTEPLANE_SPOOL_DIR")?.startsWith(`${mount?.mountPath}/`)).toBe(true);
    expect(pod.volumes?.map(({ name }) => name)).not.toContain(claim?.metadata?.name);
    expect(pod.securityContext).toMatchObject({ runAsUser: 65532, fsGroup: 65532 });
    expect(gateway?.spec?.persistentVolumeClaimRetentionPolicy).toEqual({
      whenDeleted: "Retain",
      whenScaled: "Retain",
    });
    expect(claim?.spec).toEqual({ accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "2Gi" } } });
  });

  it("need not wait for each other, and are named by a headless Service", () => {
    expect(gateway?.spec).toMatchObject({ podManagementPolicy: "Parallel", updateStrategy: { type: "RollingUpdate" } });
    const service = PRODUCTION.filter((manifest) => Service.is(manifest)).find(
      ({ metadata }) => metadata.name === gateway?.spec?.serviceName,
    );
    expect(service?.spec?.clusterIP).toBe("None");
  });
});

describe("each component", () => {
  it("works alone", async () => {
    const scaled = await buildWith("autoscaling");
    expect(scaled.filter((manifest) => StatefulSet.is(manifest))).toEqual([]);
    for (const manifest of scaled.filter(isServing)) expect(scalerOf(scaled, manifest)).toBeDefined();
    const stored = await buildWith("gateway-volumes");
    expect(stored.filter(isServing).map(({ spec }) => spec?.replicas)).toEqual([2, 2, 2, 2, 2, 2]);
  });

  it("works together with the other, in the documented order", async () => {
    const scaled = await buildWith("autoscaling", "gateway-volumes");
    expect(scaled).toEqual(await buildKustomization("production"));
  });
});
