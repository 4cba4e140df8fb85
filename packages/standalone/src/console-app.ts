import { join } from "node:path";
import { cacheFolder } from "./cache-folder.ts";
import { filesIn, findOrMake } from "./digest-cache.ts";
import { CHECKOUT } from "./home.ts";
import { describeEnding, runCommand } from "./process/command.ts";
import { logSize, StartFailure } from "./start-failure.ts";

export interface ConsoleAppOptions {
  /** Folder of the sources. This checkout by default. */
  readonly checkout?: string;
  /** Folder for the build if the cache folder cannot be written. */
  readonly home: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Environment of the process that builds. */
  readonly variables: Readonly<Record<string, string>>;
  /** File for the output of that process. */
  readonly log: string;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

const CONSOLE = "services/console";
/** Files that the app is built from, in addition to its own folder and the packages that it imports. */
const FIXED_SOURCES = ["pnpm-lock.yaml", "tsconfig.json", `${CONSOLE}/package.json`];
const BUILT_FROM = [`${CONSOLE}/app`, "packages"];
const OTHER_FOLDERS = new Set(["node_modules", "dist", "test"]);
const ENTRY = "index.html";

/**
 * Finds the build of the console's app for the present sources, or makes it. A build takes some seconds, at the first start and after each
 * edit, and is kept under the digest of the sources.
 *
 * @returns its folder
 * @throws StartFailure if it cannot be built
 */
export async function prepareConsoleApp(options: ConsoleAppOptions): Promise<string> {
  const { environment, home, signal, checkout = CHECKOUT } = options;
  const build = (parent: string): Promise<string> =>
    findOrMake({
      folder: join(parent, "console-apps"),
      checkout,
      sources: () => appSourcePaths(checkout),
      entry: ENTRY,
      make: (folder) => makeApp(folder, options),
    });
  try {
    return await build(cacheFolder(environment));
  } catch (error) {
    if (error instanceof StartFailure || signal.aborted) throw error;
    return build(home);
  }
}

/** Paths of all sources, relative to the checkout and sorted. */
async function appSourcePaths(checkout: string): Promise<readonly string[]> {
  const trees = BUILT_FROM.map((root) =>
    filesIn(checkout, root, (entry) => !OTHER_FOLDERS.has(entry.name) && !/\.test\.tsx?$/.test(entry.name)),
  );
  const settings = filesIn(checkout, CONSOLE, (entry) => entry.isFile() && entry.name.endsWith(".ts"));
  return [...FIXED_SOURCES, ...(await settings), ...(await Promise.all(trees)).flat()].toSorted();
}

async function makeApp(folder: string, options: ConsoleAppOptions): Promise<void> {
  const { log, signal, say, variables, checkout = CHECKOUT } = options;
  const startedAt = performance.now();
  const settings = join(checkout, CONSOLE, "vite.config.ts");
  // Several nodes of a checkout may start at once: each builds into a folder of its own.
  const args = [
    "build",
    "--config",
    settings,
    "--outDir",
    folder,
    "--emptyOutDir",
    "--logLevel",
    "warn",
    "--bypass-lock",
  ];
  const vite = join(checkout, CONSOLE, "node_modules/vite/bin/vite.js");
  const command = { executable: process.execPath, args: [vite, ...args], environment: variables };
  const logStart = logSize(log);
  const ending = await runCommand(command, log, signal);
  if (ending.code !== 0) {
    throw new StartFailure(`the app of the console could not be built: it ${describeEnding(ending)}`, log, logStart);
  }
  say(`  app of the console           ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
}
