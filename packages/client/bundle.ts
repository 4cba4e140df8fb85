import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";
import { collectTypes } from "./bundle/collect-types.ts";

/**
 * Bundles the package for publication into `dist`: modules that need only Node.js, their types, and a package.json that refers to them. In
 * a checkout the exports are in `src`; the packed folder is `dist`:
 *
 *     npm run --prefix packages/client bundle && npm pack ./packages/client/dist
 */
const folder = import.meta.dirname;
const dist = join(folder, "dist");
const entries = ["index", "contracts"];

await rm(dist, { recursive: true, force: true });
await build({
  absWorkingDir: folder,
  entryPoints: entries.map((name) => `src/${name}.ts`),
  outdir: dist,
  bundle: true,
  splitting: true,
  platform: "node",
  format: "esm",
  target: "node20.18",
  // Node.js 20 lacks `Promise.withResolvers`. A library must not add it globally.
  define: { "Promise.withResolvers": "withResolvers" },
  inject: [join(folder, "bundle/with-resolvers.ts")],
  plugins: [withoutUnused()],
  legalComments: "external",
  logLevel: "warning",
});
await collectTypes(entries, join(dist, "types"));
await writePackage();

/** Leaves out unused modules of the workspace, and metrics. */
function withoutUnused(): Plugin {
  return {
    name: "without-unused",
    setup(build) {
      build.onResolve({ filter: /^@routeplane\/|^\.\.?\// }, async ({ path, pluginData, ...options }) => {
        if (pluginData === "resolving") return undefined;
        const target = path === "@routeplane/runtime" ? "./bundle/runtime.ts" : path;
        const from = target === path ? options : { ...options, resolveDir: folder };
        return { ...(await build.resolve(target, { ...from, pluginData: "resolving" })), sideEffects: false };
      });
    },
  };
}

async function writePackage(): Promise<void> {
  const { name, version, description, license, type, engines } = JSON.parse(
    await readFile(join(folder, "package.json"), "utf8"),
  ) as Record<string, unknown>;
  const exports = entries.map((entry) => {
    const path = entry === "index" ? "." : `./${entry}`;
    return [path, { types: `./types/client/${entry}.d.ts`, default: `./${entry}.js` }] as const;
  });
  const content = { name, version, description, license, type, exports: Object.fromEntries(exports), engines };
  await mkdir(dist, { recursive: true });
  await writeFile(join(dist, "package.json"), `${JSON.stringify(content, undefined, 2)}\n`);
  await cp(join(folder, "README.md"), join(dist, "README.md"));
}
