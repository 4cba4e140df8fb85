import { findOrInstall } from "@routeplane/testing";

/** Names under which distributions install it. */
const PROGRAMS = ["chromium", "chromium-browser", "google-chrome"];
/** A font is not among the dependencies of the package; without one, texts have no glyphs. */
const PACKAGES = ["chromium", "fonts-dejavu-core"];

/** Path of a Chromium: that of the machine, else that of the distribution's package, which is installed. Takes minutes then. */
export function chromiumPath(): Promise<string> {
  const find = `for name in ${PROGRAMS.join(" ")}; do command -v $name && exit 0; done; exit 1`;
  return findOrInstall({ find, packages: PACKAGES });
}
