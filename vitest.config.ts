import { availableParallelism } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { keepCompiledCode } from "./packages/testing/src/compile-cache.ts";

keepCompiledCode(join(import.meta.dirname, "node_modules/.cache/compile"));

/** Number of workers. With one per core, cores idle for a quarter of the time, while tests wait for processes. */
const maxWorkers = Math.ceil(availableParallelism() * 1.5);
const exclude = ["**/node_modules/**", "test/bench/**"];
const UNITS = ["packages/*/src/**/*.test.ts", "services/*/src/**/*.test.ts", "services/console/app/src/**/*.test.ts"];
/** Tests that change nothing in their process: their nodes are processes of their own, and their services have databases of their own. */
const SHARED = ["test/e2e/**/*.test.ts", "services/{auth,policy,usage}/test/**/*.test.ts"];

/** Tests with servers and processes: a worker of its own for each file. */
export const servers = {
  include: ["packages/**/*.test.ts", "services/**/*.test.ts", "deploy/**/*.test.ts", "test/**/*.test.ts"],
  exclude: [...exclude, ...UNITS],
  globalSetup: "./packages/testing/src/global-setup.ts",
  pool: "forks" as const,
  maxWorkers,
  testTimeout: 180_000,
  hookTimeout: 180_000,
  teardownTimeout: 20_000,
};

/** A worker runs one file after the other: it loads the command line and the services once. */
const shared = { ...servers, include: SHARED, exclude, isolate: false };

/** Tests in a browser whose files share a node and the browser. A file that kills processes has a node of its own, and is no part. */
const BROWSER = ["sign-in", "pages", "changes"].map((file) => `services/console/test/browser/${file}.test.ts`);
const browser = {
  ...servers,
  include: BROWSER,
  exclude,
  globalSetup: [servers.globalSetup, "./services/console/test/browser/global-setup.ts"],
};

/** Pure tests beside the code, which start no server: a worker runs one file after the other. That takes half the CPU time. */
const units = { ...servers, globalSetup: [], include: UNITS, exclude, isolate: false };

export default defineConfig({
  test: {
    maxWorkers,
    projects: [
      { test: { ...servers, exclude: [...servers.exclude, ...SHARED, ...BROWSER], name: "servers" } },
      { test: { ...browser, name: "browser" } },
      { test: { ...shared, name: "shared" } },
      { test: { ...units, name: "units" } },
    ],
  },
});
