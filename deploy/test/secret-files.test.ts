import { expect, it } from "vitest";
import { buildKustomization } from "./kustomize.ts";
import { isServing, secretsOf, type Workload, workloadOf } from "./workloads.ts";

const BASE = (await buildKustomization("base")).filter(isServing).map(workloadOf);
const PRODUCTION = (await buildKustomization("production")).filter(isServing).map(workloadOf);

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

it.each(BASE.map((workload) => [workload.role, workload] as const))(
  "`production` gives %s each secret that it must have in a file instead of a variable",
  (role, base) => {
    const production = PRODUCTION.find((workload) => workload.role === role);
    if (production === undefined) throw new Error(`${role} is missing`);
    const files = filesOf(production);
    const required = (base.container.env ?? []).flatMap(({ name, valueFrom }) => {
      const of = valueFrom?.secretKeyRef;
      return of === undefined || of.optional === true ? [] : [{ name, secret: `${of.name}/${of.key}` }];
    });
    expect(required.length).toBeGreaterThan(0);
    for (const { name, secret } of required) {
      expect(production.environment.has(name), name).toBe(false);
      expect(files.get(production.environment.get(`${name}_FILE`) ?? ""), name).toBe(secret);
    }
    expect(secretsOf(production).toSorted()).toEqual(secretsOf(base).toSorted());
  },
);
