import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";

const run = promisify(execFile);

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** What `kubectl kustomize` makes of a folder of deploy/kustomize, e.g. `base`. */
export async function buildKustomization(name: string): Promise<readonly Manifest[]> {
  const folder = join(import.meta.dirname, "../kustomize", name);
  const { stdout } = await run(await kubectl(), ["kustomize", folder], { timeout: 30_000 });
  return parseAllDocuments(stdout).map((document): Manifest => {
    const [fault] = document.errors;
    if (fault !== undefined) throw fault;
    return document.toJS();
  });
}

const CACHE = join(import.meta.dirname, "../../node_modules/.cache/routeplane/kubectl");

/** Debian's own, unpacked and not installed, where there is none on PATH. It is old: the manifests must suit both. */
async function kubectl(): Promise<string> {
  if (await succeeds("kubectl", ["version", "--client"])) return "kubectl";
  const cached = join(CACHE, "usr/bin/kubectl");
  if (
    !(await access(cached).then(
      () => true,
      () => false,
    ))
  )
    await fetchKubectl();
  return cached;
}

async function fetchKubectl(): Promise<void> {
  await mkdir(join(CACHE, ".."), { recursive: true });
  const folder = await mkdtemp(`${CACHE}-`);
  const download = (): Promise<unknown> =>
    run("apt-get", ["download", "kubernetes-client"], { cwd: folder, timeout: 120_000 });
  try {
    // Package lists are missing on a machine that has never been updated.
    await download().catch(() => run("apt-get", ["update"], { timeout: 120_000 }).then(download));
    const [archive = ""] = await readdir(folder);
    await run("dpkg", ["-x", archive, "unpacked"], { cwd: folder, timeout: 60_000 });
    await rename(join(folder, "unpacked"), CACHE).catch((error: unknown) => {
      // Somebody else was faster; theirs is as good.
      if (!(error instanceof Error && "code" in error && error.code === "ENOTEMPTY")) throw error;
    });
  } catch (cause) {
    throw new Error("no kubectl on PATH, and Debian's kubernetes-client could not be fetched: install kubectl", {
      cause,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function succeeds(command: string, parameters: readonly string[]): Promise<boolean> {
  return run(command, parameters, { timeout: 30_000 }).then(
    () => true,
    () => false,
  );
}
