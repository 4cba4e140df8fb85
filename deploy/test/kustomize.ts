import { execFile, type ExecFileOptions } from "node:child_process";
import { access, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";

const run = promisify(execFile);

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** Manifests that `kubectl kustomize` builds from a folder of deploy/kustomize, e.g. `base`. */
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
const DOWNLOAD_TIMEOUT_MS = 60_000;

/** Path of kubectl: from the PATH, else from Debian's package, which is unpacked and not installed. The manifests must suit both versions. */
async function kubectl(): Promise<string> {
  if (await succeeds("kubectl", ["version", "--client"], { timeout: 30_000 })) return "kubectl";
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
  try {
    await downloadPackage("kubernetes-client", folder);
    const archive = (await readdir(folder)).find((file) => file.endsWith(".deb")) ?? "";
    await run("dpkg-deb", ["--extract", archive, "unpacked"], { cwd: folder, timeout: 60_000 });
    await rename(join(folder, "unpacked"), CACHE).catch((error: unknown) => {
      // Another process has fetched it meanwhile.
      if (!(error instanceof Error && "code" in error && error.code === "ENOTEMPTY")) throw error;
    });
  } catch (cause) {
    throw new Error("no kubectl on PATH, and Debian's kubernetes-client cannot be fetched: install kubectl", { cause });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Downloads a package; fetches package lists if there are none, which only one process at a time can do. */
async function downloadPackage(name: string, folder: string): Promise<void> {
  const deadline = Date.now() + DOWNLOAD_TIMEOUT_MS;
  const options = { cwd: folder, timeout: DOWNLOAD_TIMEOUT_MS };
  const isDownloaded = (): Promise<boolean> =>
    // As root, apt would download as a user that cannot write here.
    succeeds("apt-get", ["-o", "APT::Sandbox::User=root", "download", name], options);
  while (!(await isDownloaded())) {
    if (Date.now() > deadline) throw new Error(`apt-get download ${name} failed for ${DOWNLOAD_TIMEOUT_MS} ms`);
    if (!(await succeeds("apt-get", ["update"], options))) await setTimeout(1_000);
  }
}

function succeeds(command: string, parameters: readonly string[], options: ExecFileOptions): Promise<boolean> {
  return run(command, parameters, options).then(
    () => true,
    () => false,
  );
}
