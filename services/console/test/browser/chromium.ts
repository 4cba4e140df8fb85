import { findOrInstall } from "@routeplane/testing";

/** Names under which distributions install it. */
const PROGRAMS = ["chromium", "chromium-browser", "google-chrome"];
/** Packages to install. Chromium does not depend on a font, but without one, texts have no glyphs. */
const PACKAGES = ["chromium", "fonts-dejavu-core"];

/** Path of a Chromium. If the machine has none, the distribution's package is installed, which takes minutes. */
export function chromiumPath(): Promise<string> {
  const find = `for name in ${PROGRAMS.join(" ")}; do command -v $name && exit 0; done; exit 1`;
  return findOrInstall({ find, packages: PACKAGES });
}
