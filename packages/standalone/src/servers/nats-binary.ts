import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheFolder } from "../cache-folder.ts";
import { StartFailure } from "../start-failure.ts";
import { findExecutable, isExecutable } from "../process/command.ts";

const run = promisify(execFile);

const INSTALL_HINT =
  "install it (on Debian and Ubuntu: apt-get install nats-server; elsewhere: https://nats.io/download) " +
  "so that nats-server is on the PATH, and try again";
const APT_TIMEOUT_MS = 120_000;

export interface NatsBinaryOptions {
  /** Environment whose PATH is searched, and whose XDG_CACHE_HOME holds a fetched program. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
  /** Finds a program on the machine. */
  readonly find?: (name: string) => string | undefined;
}

/**
 * Path of a nats-server: the one of the machine, else one fetched before, else one from the package of the distribution. The package is
 * unpacked and not installed, so that no system service starts.
 */
export async function natsBinary(options: NatsBinaryOptions): Promise<string> {
  const { environment, say, signal, find = (name) => findExecutable(name, environment["PATH"]) } = options;
  const installed = find("nats-server");
  if (installed !== undefined) return installed;
  const cache = cacheFolder(environment);
  const fetched = join(cache, "nats-server", "usr/sbin/nats-server");
  if (isExecutable(fetched)) return fetched;
  const apt = find("apt-get");
  const dpkg = find("dpkg-deb");
  if (apt === undefined || dpkg === undefined) {
    throw new StartFailure(`nats-server is not on the PATH, and there is no apt-get to fetch it with: ${INSTALL_HINT}`);
  }
  say("nats-server is not on the PATH: fetching it from the distribution's packages (apt-get download nats-server)");
  try {
    await fetchPackage({ apt, dpkg, cache, signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new StartFailure(`nats-server could not be fetched (${lastLine(error)}): ${INSTALL_HINT}`);
  }
  if (isExecutable(fetched)) return fetched;
  throw new StartFailure(`the distribution's package nats-server holds no program: ${INSTALL_HINT}`);
}

interface FetchOptions {
  readonly apt: string;
  readonly dpkg: string;
  readonly cache: string;
  readonly signal: AbortSignal;
}

/** Fetches the package and renames its content into place, so that two nodes can do so at the same time. */
async function fetchPackage({ apt, dpkg, cache, signal }: FetchOptions): Promise<void> {
  await mkdir(cache, { recursive: true });
  const draft = await mkdtemp(join(cache, "nats-server."));
  const options = { cwd: draft, signal, timeout: APT_TIMEOUT_MS };
  // As root, apt would download as a user that cannot write here.
  const download = (): Promise<unknown> =>
    run(apt, ["-o", "APT::Sandbox::User=root", "download", "nats-server"], options);
  try {
    // Package lists are missing on a new machine, and out of date on an old one.
    await download().catch(async () => {
      await run(apt, ["update"], options);
      await download();
    });
    const archive = (await readdir(draft)).find((file) => file.endsWith(".deb"));
    if (archive === undefined) throw new Error("apt-get left no package");
    await run(dpkg, ["--extract", archive, "unpacked"], options);
    await rm(join(cache, "nats-server"), { recursive: true, force: true });
    await rename(join(draft, "unpacked"), join(cache, "nats-server"));
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** Last line that apt wrote to stderr, which names the reason. */
function lastLine(error: unknown): string {
  const text = error instanceof Error && "stderr" in error ? String(error.stderr) : "";
  return text.trim().split("\n").at(-1) || (error instanceof Error ? error.message : String(error));
}
