import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";
import { kubectl } from "./kubectl.ts";

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

export const KUSTOMIZE_FOLDER = join(import.meta.dirname, "../kustomize");

/** Manifests that `kubectl kustomize` builds from a folder of deploy/kustomize, e.g. `base`, or from an absolute path. */
export async function buildKustomization(name: string): Promise<readonly Manifest[]> {
  const folder = join(name.startsWith("/") ? "" : KUSTOMIZE_FOLDER, name);
  const { stdout } = await promisify(execFile)(await kubectl(), ["kustomize", folder], { timeout: 30_000 });
  return parseAllDocuments(stdout).map((document): Manifest => {
    const [fault] = document.errors;
    if (fault !== undefined) throw fault;
    return document.toJS();
  });
}

/** Manifests of several folders. */
export async function buildKustomizations(...names: readonly string[]): Promise<readonly Manifest[]> {
  return (await Promise.all(names.map(buildKustomization))).flat();
}
