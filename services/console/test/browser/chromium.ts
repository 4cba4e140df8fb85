import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** Names under which distributions install it. */
const PROGRAMS = ["chromium", "chromium-browser", "google-chrome"];
/** A font is not among the dependencies of the package; without one, texts have no glyphs. */
const PACKAGES = ["chromium", "fonts-dejavu-core"];
const INSTALL_TIMEOUT_MS = 600_000;
/** Held while a test file looks for a browser or installs it, so that files which run at the same time install it once. */
const LOCK = join(tmpdir(), "routeplane-install-chromium.lock");

const FIND = `for name in ${PROGRAMS.join(" ")}; do command -v $name && exit 0; done`;
const INSTALL = `DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ${PACKAGES.join(" ")} >&2`;
/** Package lists are missing on a new machine, and out of date on an old one. */
const FIND_OR_INSTALL = `${FIND}; ${INSTALL} || { apt-get update -qq >&2 && ${INSTALL}; } && ${FIND}`;

/** Path of a Chromium: that of the machine, else that of the distribution's package, which is installed. Takes minutes then. */
export async function chromiumPath(): Promise<string> {
  const options = { timeout: INSTALL_TIMEOUT_MS };
  const { stdout } = await promisify(execFile)("flock", [LOCK, "sh", "-c", FIND_OR_INSTALL], options).catch(
    (cause: unknown) => {
      const command = `apt-get install ${PACKAGES.join(" ")}`;
      throw new Error(`the tests of the console need chromium, which could not be installed: as root, ${command}`, {
        cause,
      });
    },
  );
  return stdout.trim();
}
