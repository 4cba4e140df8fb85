import packageJson from "../package.json" with { type: "json" };

/** Commit that a bundle was made from; `deploy/bundle.ts` writes it in. Not defined in a checkout. */
declare const ROUTEPLANE_BUILD_COMMIT: string | undefined;

/** Version of the build, which logs and metrics name: that of the packages and, in a bundle, the commit, e.g. `0.1.0+3ad44d9`. */
export const BUILD_VERSION: string =
  typeof ROUTEPLANE_BUILD_COMMIT === "string" && ROUTEPLANE_BUILD_COMMIT !== ""
    ? `${packageJson.version}+${ROUTEPLANE_BUILD_COMMIT}`
    : packageJson.version;
