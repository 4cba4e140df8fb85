import { rm } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

/**
 * Bundles the command line of the installed package into `dist`, for `npm pack`: one file that needs only Node.js, one more for `mcp` and
 * one more for `--jq`. Modules that the sources import lazily are loaded lazily here, too.
 *
 * The format is CommonJS: an ES module starts more slowly, and its import of `node:http` loads undici too. White space is removed; names
 * are kept for stack traces.
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
