import { resolve } from "node:path";
import { build } from "esbuild";

/** Name of the file in the bundle that runs a role: `node routeplane.mjs <role>`. */
const ENTRY = "routeplane.mjs";

/** Thread of the gateway, which loads it by its name from the folder of the bundle. */
const TOKEN_WORKER = { in: "../services/gateway/src/clients/token-worker.ts", out: "token-worker" };

export interface Bundle {
  /** Absolute path of the file to run. */
  readonly entry: string;
  /** Absolute paths of the files that the bundle was made from. */
  readonly inputs: readonly string[];
}

/**
 * Bundles every role into one folder of ES modules that needs only Node.js, so that the image has no package manager and no
 * node_modules. Node.js cannot run TypeScript of packages under node_modules.
 */
export async function bundle(folder: string): Promise<Bundle> {
  const workingFolder = import.meta.dirname;
  const { metafile } = await build({
    absWorkingDir: workingFolder,
    entryPoints: [{ in: "routeplane.ts", out: "routeplane" }, TOKEN_WORKER],
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node24",
    // `pg` loads it only if it is configured. It would need a compiler in the image.
    external: ["pg-native"],
    // CommonJS dependencies call `require`, which an ES module has to create.
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
    // Named by logs and metrics, see packages/runtime/src/version.ts.
    define: { ROUTEPLANE_BUILD_COMMIT: JSON.stringify(process.env["ROUTEPLANE_BUILD_COMMIT"] ?? "") },
    sourcemap: true,
    sourcesContent: false,
    metafile: true,
    logLevel: "warning",
  });
  const inputs = Object.keys(metafile.inputs).map((path) => resolve(workingFolder, path));
  return { entry: resolve(folder, ENTRY), inputs };
}

if (import.meta.main) {
  const folder = process.argv[2];
  if (folder === undefined) {
    process.stderr.write("usage: bundle.ts <folder>\n");
    process.exit(2);
  }
  const { entry } = await bundle(resolve(folder));
  process.stdout.write(`${entry}\n`);
}
