import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const COMMAND_TIMEOUT_MS = 120_000;
const BUILD_TIMEOUT_MS = 900_000;
const OUTPUT_BYTES = 64 * 1024 ** 2;
const CGROUPS = "/sys/fs/cgroup";

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** podman and buildah with images and containers of their own, separate from those of the machine. */
export interface ContainerEngine {
  /** Runs podman. @throws Error with its output if it fails */
  podman(...parameters: readonly string[]): Promise<string>;
  /** Runs podman, whatever its exit code. */
  tryPodman(...parameters: readonly string[]): Promise<CommandResult>;
  /** Builds an image with buildah. @throws Error with its output if that fails */
  build(...parameters: readonly string[]): Promise<void>;
  /** Parent of the containers' control groups. */
  readonly cgroup: string;
  /** Kills every container, and removes them, all images and all traces. */
  remove(): Promise<void>;
}

const NEEDED = "this check needs root on Linux, and podman, buildah and runc: apt-get install podman buildah runc";

/** @throws Error that says what is missing on this machine */
export async function openContainerEngine(): Promise<ContainerEngine> {
  if (process.getuid?.() !== 0) throw new Error(NEEDED);
  for (const program of ["podman", "buildah", "runc"]) {
    await promisify(execFile)(program, ["--version"]).catch((cause: unknown) => {
      throw new Error(NEEDED, { cause });
    });
  }
  const folder = await mkdtemp(join(tmpdir(), "routeplane-image-"));
  const configuration = join(folder, "containers.conf");
  await writeFile(configuration, configurationOf(join(folder, "tmp")));
  const environment = { ...process.env, CONTAINERS_CONF: configuration };
  const storage = ["--root", join(folder, "storage"), "--runroot", join(folder, "run"), "--storage-driver", "overlay"];
  const cgroup = `/routeplane-image-${process.pid}`;

  const run = (program: string, parameters: readonly string[], timeout: number): Promise<CommandResult> =>
    new Promise((resolve) => {
      const options = { env: environment, timeout, killSignal: "SIGKILL" as const, maxBuffer: OUTPUT_BYTES };
      execFile(program, [...storage, ...parameters], options, (error, stdout, stderr) => {
        const code = typeof error?.code === "number" ? error.code : 1;
        resolve({ code: error === null ? 0 : code, stdout, stderr });
      });
    });
  const require = async (program: string, parameters: readonly string[], timeout: number): Promise<string> => {
    const { code, stdout, stderr } = await run(program, parameters, timeout);
    if (code !== 0) throw new Error(`${program} ${parameters.join(" ")}\nexit code ${code}\n${stdout}\n${stderr}`);
    return stdout.trim();
  };
  const podman = (...parameters: readonly string[]) => require("podman", parameters, COMMAND_TIMEOUT_MS);
  return {
    podman,
    tryPodman: (...parameters) => run("podman", parameters, COMMAND_TIMEOUT_MS),
    async build(...parameters) {
      await require("buildah", [
        "build",
        "--isolation",
        "chroot",
        "--network",
        "host",
        ...parameters,
      ], BUILD_TIMEOUT_MS);
    },
    cgroup,
    async remove() {
      await podman("rm", "--all", "--force", "--time", "0");
      await podman("rmi", "--all", "--force");
      await removeCgroups(cgroup);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Configuration that keeps locks and state within `state`. Without explicit limits, runc sets some that a container refuses. */
function configurationOf(state: string): string {
  return `
    [containers]
    default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
    [engine]
    runtime = "runc"
    cgroup_manager = "cgroupfs"
    events_logger = "none"
    lock_type = "file"
    tmp_dir = "${state}"
  `;
}

/** Removes what podman leaves of control groups: the empty parent, in each hierarchy. */
async function removeCgroups(parent: string): Promise<void> {
  const hierarchies = [CGROUPS, ...(await readdir(CGROUPS)).map((name) => join(CGROUPS, name))];
  for (const hierarchy of hierarchies) {
    for (const group of [join(hierarchy, parent, "conmon"), join(hierarchy, parent)])
      await rmdir(group).catch(() => {});
  }
}
