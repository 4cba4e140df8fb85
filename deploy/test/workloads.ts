import { Deployment, type IDeployment, type IStatefulSet, StatefulSet } from "kubernetes-models/apps/v1";
import { type IJob, Job } from "kubernetes-models/batch/v1";
import type { IContainer, IPodSpec } from "kubernetes-models/v1";
import type { Manifest } from "./kustomize.ts";
import type { Labels } from "./network.ts";

/** A Deployment, a StatefulSet or a Job, which runs one role of the image. */
export interface Workload {
  readonly kind: "Deployment" | "StatefulSet" | "Job";
  readonly name: string;
  /** Role that the image runs. */
  readonly role: string;
  readonly labels: Labels;
  readonly pod: IPodSpec;
  readonly container: IContainer;
  /** Values of the variables, keyed by name; undefined for one from a Secret. */
  readonly environment: ReadonlyMap<string, string | undefined>;
}

export type Serving = Manifest & (IDeployment | IStatefulSet);

/** True for a workload that keeps replicas running: a Deployment or a StatefulSet. */
export const isServing = (manifest: Manifest): manifest is Serving =>
  Deployment.is(manifest) || StatefulSet.is(manifest);

export function workloadsOf(manifests: readonly Manifest[]): readonly Workload[] {
  return manifests.filter((manifest) => isServing(manifest) || Job.is(manifest)).map(workloadOf);
}

/** Workload of a manifest. @throws Error for a pod that is not one container with one argument */
export function workloadOf(manifest: Manifest & (IDeployment | IStatefulSet | IJob)): Workload {
  const { name } = manifest.metadata;
  const template = manifest.spec?.template;
  const pod = template?.spec;
  const [container, ...others] = [...(pod?.initContainers ?? []), ...(pod?.containers ?? [])];
  const [role, ...rest] = container?.args ?? [];
  if (!pod || !container || others.length > 0 || role === undefined || rest.length > 0)
    throw new Error(`${manifest.kind} ${name}: expected one container with one argument`);
  const environment = new Map((container.env ?? []).map(({ name: variable, value }) => [variable, value] as const));
  const labels = template?.metadata?.labels ?? {};
  return { kind: manifest.kind, name, role, labels, pod, container, environment };
}

/** Secrets that a workload refers to, as `name/key`: in variables, and in files. */
export function secretsOf({ pod, container }: Workload): readonly string[] {
  const fromVariables = (container.env ?? []).flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []);
  const projected = (pod.volumes ?? []).flatMap(({ projected: volume }) => volume?.sources ?? []);
  const files = projected.flatMap(({ secret }) => secret ?? []);
  const unnamed = [...(container.envFrom ?? []), ...(pod.volumes ?? [])].filter(
    (source) => ("secretRef" in source && source.secretRef) || ("secret" in source && source.secret),
  );
  // An optional Secret has any keys that an operator gives it.
  const whole = files.filter(({ items, optional }) => items === undefined && optional !== true);
  if (unnamed.length + whole.length > 0) throw new Error("a secret is used without naming its key");
  return [
    ...fromVariables.map(({ name, key }) => `${name}/${key}`),
    ...files.flatMap(({ name, items = [] }) => items.map(({ key }) => `${name}/${key}`)),
  ];
}
