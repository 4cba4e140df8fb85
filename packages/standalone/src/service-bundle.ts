import { join } from "node:path";
import { cacheFolder } from "./cache-folder.ts";
import { type DigestCache, filesIn, findOrMake } from "./digest-cache.ts";
import { CHECKOUT } from "./home.ts";
import { describeEnding, runCommand } from "./process/command.ts";
import { logSize, StartFailure } from "./start-failure.ts";

/**
 * Bundle of the services, the same as in the image. With it, a process takes some 50 MiB less than with the sources, and starts in a third
 * of the time. The bundle is made at the first start and after each edit of a source, and kept under the digest of all sources.
 */
export interface ServiceProgram {
  /** File that runs a role: `node <entry> <role>`. */
  readonly entry: string;
  /** Folder for the compiled code of the program. */
  readonly compileCache: string;
}

export interface ServiceProgramOptions {
  /** Folder of the sources. This checkout by default. */
  readonly checkout?: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Environment of the process that makes the bundle. */
  readonly variables: Readonly<Record<string, string>>;
  /** File for the output of that process. */
  readonly log: string;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** Files that every bundle is made from, relative to the checkout; further ones are in `SOURCE_ROOTS`. */
const FIXED_SOURCES = ["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", "deploy/package.json"];
const DEPLOY_SOURCES = ["deploy/bundle.ts", "deploy/routeplane.ts", "deploy/source-positions.ts"];
const SOURCE_ROOTS = ["packages", "services"];
/** Folders without any part of the bundle. The app of the console has a build of its own. */
const OTHER_FOLDERS = new Set(["node_modules", "test", "dist"]);
const CONSOLE_APP = "services/console/app";
const ENTRY = "routeplane.mjs";

/**
 * Finds the bundle of the present sources, or makes it. With ROUTEPLANE_RUN=source, or if the cache folder cannot be written, the sources
 * themselves are run.
 *
 * @throws StartFailure if the sources cannot be bundled
 */
export async function prepareServiceProgram(options: ServiceProgramOptions): Promise<ServiceProgram> {
  const { environment, say, signal, checkout = CHECKOUT } = options;
  const fromSource = {
    entry: join(checkout, "deploy/routeplane.ts"),
    compileCache: join(cacheFolder(environment), "compiled"),
  };
  if (runsFromSource(environment)) return fromSource;
  const bundles = join(cacheFolder(environment), "bundles");
  const cache: DigestCache = {
    folder: bundles,
    checkout,
    sources: () => sourcePaths(checkout),
    entry: ENTRY,
    make: (folder) => makeBundle(folder, options),
  };
  try {
    const folder = await findOrMake(cache);
    return { entry: join(folder, ENTRY), compileCache: join(folder, "compiled") };
  } catch (error) {
    if (error instanceof StartFailure || signal.aborted) throw error;
    say(`  no bundle can be kept in ${bundles} (${String(error)}): the services run from their sources`);
    return fromSource;
  }
}

/** Paths of all sources, relative to the checkout and sorted. */
export async function sourcePaths(checkout: string): Promise<readonly string[]> {
  const roots = SOURCE_ROOTS.map((root) =>
    filesIn(checkout, root, (entry, path) =>
      entry.isDirectory() ? !OTHER_FOLDERS.has(entry.name) && path !== CONSOLE_APP : isSource(entry.name),
    ),
  );
  const found = (await Promise.all(roots)).flat();
  return [...FIXED_SOURCES, ...DEPLOY_SOURCES, ...found].toSorted();
}

function isSource(name: string): boolean {
  return /\.(ts|js|json)$/.test(name) && !name.endsWith(".test.ts");
}

async function makeBundle(folder: string, options: ServiceProgramOptions): Promise<void> {
  const { log, signal, say, variables, checkout = CHECKOUT } = options;
  const startedAt = performance.now();
  const args = [join(checkout, "deploy/bundle.ts"), folder];
  const logStart = logSize(log);
  const ending = await runCommand({ executable: process.execPath, args, environment: variables }, log, signal);
  if (ending.code !== 0)
    throw new StartFailure(`the services could not be bundled: it ${describeEnding(ending)}`, log, logStart);
  say(`  bundle of the services       ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
}

function runsFromSource(environment: ServiceProgramOptions["environment"]): boolean {
  const choice = environment["ROUTEPLANE_RUN"]?.trim() || "bundle";
  if (choice === "bundle" || choice === "source") return choice === "source";
  throw new StartFailure(`ROUTEPLANE_RUN is ${JSON.stringify(choice)}: set it to bundle or source, or unset it`);
}
