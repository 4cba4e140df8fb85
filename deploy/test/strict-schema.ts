import { validate as validateConfigMap } from "kubernetes-models/_schemas/IoK8sApiCoreV1ConfigMap";
import { validate as validateDeployment } from "kubernetes-models/_schemas/IoK8sApiAppsV1Deployment";
import { validate as validateHorizontalPodAutoscaler } from "kubernetes-models/_schemas/IoK8sApiAutoscalingV2HorizontalPodAutoscaler";
import { validate as validateJob } from "kubernetes-models/_schemas/IoK8sApiBatchV1Job";
import { validate as validateNetworkPolicy } from "kubernetes-models/_schemas/IoK8sApiNetworkingV1NetworkPolicy";
import { validate as validatePodDisruptionBudget } from "kubernetes-models/_schemas/IoK8sApiPolicyV1PodDisruptionBudget";
import { validate as validateService } from "kubernetes-models/_schemas/IoK8sApiCoreV1Service";
import { validate as validateServiceAccount } from "kubernetes-models/_schemas/IoK8sApiCoreV1ServiceAccount";
import { validate as validateStatefulSet } from "kubernetes-models/_schemas/IoK8sApiAppsV1StatefulSet";

type Validate = ((data: unknown) => boolean) & { errors?: readonly SchemaError[] | null };

interface SchemaError {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: unknown;
}

/** The package of the Prometheus Operator's types exports its models, but not the functions that validate them. */
const SERVICE_MONITOR = new URL(
  "_schemas/ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1ServiceMonitor.js",
  import.meta.resolve("@kubernetes-models/prometheus-operator"),
);
const { validate: validateServiceMonitor }: { validate: Validate } = await import(SERVICE_MONITOR.href);

const VALIDATORS: Readonly<Record<string, Validate>> = {
  "v1 ConfigMap": validateConfigMap,
  "v1 Service": validateService,
  "v1 ServiceAccount": validateServiceAccount,
  "apps/v1 Deployment": validateDeployment,
  "apps/v1 StatefulSet": validateStatefulSet,
  "autoscaling/v2 HorizontalPodAutoscaler": validateHorizontalPodAutoscaler,
  "batch/v1 Job": validateJob,
  "monitoring.coreos.com/v1 ServiceMonitor": validateServiceMonitor,
  "networking.k8s.io/v1 NetworkPolicy": validateNetworkPolicy,
  "policy/v1 PodDisruptionBudget": validatePodDisruptionBudget,
};

/**
 * Faults that the Kubernetes API would report under strict field validation: unexpected kinds, wrong types, missing fields and
 * unknown fields. Each fault starts with the path of its field.
 */
export function schemaFaults(manifest: { readonly apiVersion: string; readonly kind: string }): readonly string[] {
  const kind = `${manifest.apiVersion} ${manifest.kind}`;
  const validate = VALIDATORS[kind];
  if (validate === undefined) return [`/kind: no schema for ${kind}`];
  const unread = new Set<string>();
  const isValid = validate(recordingReads(manifest, "", unread));
  const errors = isValid ? [] : (validate.errors ?? []);
  return [
    ...errors.map(({ instancePath, keyword, params }) => `${instancePath}: ${keyword} ${JSON.stringify(params)}`),
    ...[...unread].map((path) => `${path}: unknown field`),
  ];
}

/**
 * Proxy of a value that removes the path of each field that is read from `unread`. The schemas are compiled to code that accepts
 * unknown fields, but reads exactly those that it knows, so the paths that are left after the validation are unknown fields.
 */
function recordingReads<T>(value: T, path: string, unread: Set<string>): T {
  if (typeof value !== "object" || value === null) return value;
  const pathOf = (key: string): string => `${path}/${key}`;
  const children = new Map<string, unknown>();
  for (const [key, child] of Object.entries(value)) {
    unread.add(pathOf(key));
    children.set(key, recordingReads(child, pathOf(key), unread));
  }
  return new Proxy(value, {
    get(target, key, receiver) {
      if (typeof key !== "string" || !children.has(key)) return Reflect.get(target, key, receiver);
      unread.delete(pathOf(key));
      return children.get(key);
    },
  });
}
