import { mkdir, writeFile } from "node:fs/promises";
import { relative, resolve } from "node:path";
import { build } from "esbuild";
import { encodePositions, POSITIONS_SUFFIX } from "./source-positions.ts";

/** Name of the file in the bundle that runs a role: `node routeplane.mjs <role>`. */
const ENTRY = "routeplane.mjs";

const ROOT = resolve(import.meta.dirname, "..");

/** Worker thread of the gateway, which loads this file by name from the folder of the bundle. */
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
 *
 * The text of the files stays in memory as long as a process runs. They therefore have no comments and white space, and only ASCII, because
 * a single other character doubles the memory of its file: in all 4 MB of text for a gateway instead of 14. Names are kept;
 * `source-positions.ts` maps stacks to sources.
 */
export async function bundle(folder: string): Promise<Bundle> {
  const workingFolder = import.meta.dirname;
  const { metafile, outputFiles } = await build({
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
    // Shown by logs and metrics, see packages/runtime/src/version.ts.
    define: { ROUTEPLANE_BUILD_COMMIT: JSON.stringify(process.env["ROUTEPLANE_BUILD_COMMIT"] ?? "") },
    minifyWhitespace: true,
    charset: "ascii",
    legalComments: "external",
    sourcemap: "external",
    sourcesContent: false,
    metafile: true,
    logLevel: "warning",
    write: false,
  });
  await mkdir(folder, { recursive: true });
  for (const { path, contents, text } of outputFiles) {
    if (!path.endsWith(".map")) await writeFile(path, contents);
    else await writePositions(path.slice(0, -".map".length), text);
  }
  const inputs = Object.keys(metafile.inputs).map((path) => resolve(workingFolder, path));
  return { entry: resolve(folder, ENTRY), inputs };
}

/** Writes the table of positions of a bundled file, unless the file has only code of dependencies, e.g. a vocabulary. */
async function writePositions(file: string, sourceMap: string): Promise<void> {
  const { sources, mappings } = JSON.parse(sourceMap) as { sources: string[]; mappings: string };
  const paths = sources.map((source) => relative(ROOT, resolve(file, "..", source)));
  if (paths.every((path) => path.includes("node_modules/"))) return;
  await writeFile(`${file}${POSITIONS_SUFFIX}`, encodePositions({ sources: paths, mappings }));
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
