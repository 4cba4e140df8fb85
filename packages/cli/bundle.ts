import { rm } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

/**
 * Bundles the command line of the installed package into `dist`, which `npm pack` then packs: one file that needs only Node.js, and one
 * each of what `mcp` and `--jq` need besides, which nothing else reads. A module that is imported when it is needed runs then, as in the sources.
 *
 * It is CommonJS, because an ES module starts later, and because importing `node:http` as one loads undici too. White space is removed,
 * and names are kept for stacks.
 */
const dist = join(import.meta.dirname, "dist");
await rm(dist, { recursive: true, force: true });
await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: [
    { in: "src/installed/main.ts", out: "routeplane" },
    { in: "src/commands/mcp/server.ts", out: "mcp-server" },
    { in: "@michaelhomer/jqjs", out: "jq" },
  ],
  outdir: dist,
  outExtension: { ".js": ".cjs" },
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20.18",
  define: { "import.meta.dirname": "__dirname" },
  plugins: [
    {
      name: "without-services",
      setup(build) {
        const path = join(import.meta.dirname, "src/installed/run-node.ts");
        build.onResolve({ filter: /^@routeplane\/standalone$/ }, () => ({ path }));
      },
    },
    {
      name: "files-apart",
      setup(build) {
        build.onResolve({ filter: /^\.\/server\.ts$/ }, ({ importer }) =>
          importer.endsWith("commands/mcp/mcp.ts") ? { path: "./mcp-server.cjs", external: true } : undefined,
        );
        build.onResolve({ filter: /^@michaelhomer\/jqjs$/ }, ({ kind }) =>
          kind === "entry-point" ? undefined : { path: "./jq.cjs", external: true },
        );
      },
    },
  ],
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: "external",
  logLevel: "warning",
});
