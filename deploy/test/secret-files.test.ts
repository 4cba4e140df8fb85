import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { expect, it } from "vitest";
import { buildKustomization, KUSTOMIZE_FOLDER } from "./kustomize.ts";
import { isServing, secretsOf, type Workload, workloadOf } from "./workloads.ts";

const BASE = (await buildKustomization("base")).filter(isServing).map(workloadOf);
const WITH_FILES = (await buildOverlay()).filter(isServing).map(workloadOf);

/** The overlay of deploy/README.md: the base with all components. */
async function buildOverlay() {
  const folder = await mkdtemp(join(KUSTOMIZE_FOLDER, "test-"));
  try {
    const names = ["secret-files", "autoscaling", "gateway-volumes"];
    const overlay = { resources: ["../base"], components: names.map((name) => `../components/${name}`) };
    await writeFile(join(folder, "kustomization.yaml"), JSON.stringify(overlay));
    return await buildKustomization(relative(KUSTOMIZE_FOLDER, folder));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Files of Secrets that a container finds, as `name/key` by path. */
function filesOf({ pod, container }: Workload): ReadonlyMap<string, string> {
  const mounts = (container.volumeMounts ?? []).flatMap(({ name, mountPath, subPath }) => {
    const { projected } = pod.volumes?.find((volume) => volume.name === name) ?? {};
    // What is mounted by its subPath is never updated.
    if (projected === undefined || subPath !== undefined) return [];
    return (projected.sources ?? []).flatMap(({ secret }) =>
      (secret?.items ?? []).map(({ key, path }) => [`${mountPath}/${path}`, `${secret?.name}/${key}`] as const),
    );
  });
  return new Map(mounts);
}

it.each(BASE.map((base) => [base.role, base] as const))(
  "the component secret-files gives %s each secret that it must have in a file instead of a variable",
  (role, base) => {
    const workload = WITH_FILES.find((each) => each.role === role);
    if (workload === undefined) throw new Error(`${role} is missing`);
    const files = filesOf(workload);
    const required = (base.container.env ?? []).flatMap(({ name, valueFrom }) => {
      const of = valueFrom?.secretKeyRef;
      return of === undefined || of.optional === true ? [] : [{ name, secret: `${of.name}/${of.key}` }];
    });
    expect(required.length).toBeGreaterThan(0);
    for (const { name, secret } of required) {
      expect(workload.environment.has(name), name).toBe(false);
      expect(files.get(workload.environment.get(`${name}_FILE`) ?? ""), name).toBe(secret);
    }
    expect(secretsOf(workload).toSorted()).toEqual(secretsOf(base).toSorted());
  },
);
