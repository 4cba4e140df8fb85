import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const INSTALL_TIMEOUT_MS = 600_000;
/** Lock for finding and installing programs, so that test files that run at the same time install them once. */
const LOCK = join(tmpdir(), "routeplane-install-packages.lock");

/** Programs of the machine, or of packages of the distribution. */
export interface NeededPrograms {
  /** Shell script that exits with 0 if the programs exist. Its output is the result. */
  readonly find: string;
  /** Debian packages that contain the programs. */
  readonly packages: readonly string[];
}

/**
 * Finds programs that tests need, and installs their packages if they are missing, which takes up to minutes.
 *
 * @returns output of the script that finds them, without blanks around it
 * @throws Error that names the packages, if they cannot be installed
 */
export async function findOrInstall({ find, packages }: NeededPrograms): Promise<string> {
  const install = `DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ${packages.join(" ")} >&2`;
  // Package lists are missing on a new machine, and out of date on an old one.
  const script = `(${find}) && exit 0; ${install} || { apt-get update -qq >&2 && ${install}; } && (${find})`;
  const { stdout } = await promisify(execFile)("flock", [LOCK, "sh", "-c", script], {
    timeout: INSTALL_TIMEOUT_MS,
  }).catch((cause: unknown) => {
    throw new Error(
      `the tests need packages that could not be installed: as root, apt-get install ${packages.join(" ")}`,
      {
        cause,
      },
    );
  });
  return stdout.trim();
}
