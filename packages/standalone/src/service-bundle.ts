import { createHash } from "node:crypto";
import { type Dirent, existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder } from "./cache-folder.ts";
import { CHECKOUT } from "./home.ts";
import { type Command, describeEnding, runCommand } from "./process/command.ts";
import { StartFailure } from "./start-failure.ts";

/**
 * Bundle of the services, the same as the image's: a process takes some 50 MiB less from it than from the sources, and starts in a
 * third of the time. It is made at the first start and after each edit of a source, and kept under the digest of all sources.
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

/** Files that every bundle is made from, relative to the checkout; the rest is in `SOURCE_ROOTS`. */
const FIXED_SOURCES = ["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", "deploy/package.json"];
const DEPLOY_SOURCES = ["deploy/bundle.ts", "deploy/routeplane.ts", "deploy/source-positions.ts"];
const SOURCE_ROOTS = ["packages", "services"];
const ENTRY = "routeplane.mjs";
/** Attempts to make a bundle from sources that change meanwhile. */
const ATTEMPTS = 3;
/** Time for which a bundle without a running node is kept: that of a start between its look-up and its mark. */
const UNUSED_MS = 60_000;

/**
 * Finds the bundle of the sources as they are now, and makes it if there is none. The program of ROUTEPLANE_RUN=source, and where the
 * cache folder cannot be written, is the sources themselves.
 *
 * @throws StartFailure if the sources cannot be bundled
 */
export async function prepareServiceProgram(options: ServiceProgramOptions): Promise<ServiceProgram> {
  const { environment, say, checkout = CHECKOUT } = options;
  const fromSource = {
    entry: join(checkout, "deploy/routeplane.ts"),
    compileCache: join(cacheFolder(environment), "compiled"),
  };
  if (runsFromSource(environment)) return fromSource;
  const bundles = join(cacheFolder(environment), "bundles");
  try {
    await mkdir(bundles, { recursive: true, mode: 0o700 });
    return await findOrMake(bundles, options);
  } catch (error) {
    if (error instanceof StartFailure || options.signal.aborted) throw error;
    say(`  no bundle can be kept in ${bundles} (${String(error)}): the services run from their sources`);
    return fromSource;
  }
}

/**
 * Digest of all sources of the bundle and their paths. Dependencies count by the lockfile. A thousand small files are read in 30 ms
 * of CPU time synchronously, and in 250 ms otherwise.
 */
async function digestOfSources(checkout: string): Promise<string> {
  const hash = createHash("sha256").update(checkout);
  for (const path of await sourcePaths(checkout)) {
    hash.update(`\0${path}\0`).update(readFileSync(join(checkout, path)));
  }
  return hash.digest("hex").slice(0, 32);
}

/** Paths of all sources, relative to the checkout and sorted. */
export async function sourcePaths(checkout: string): Promise<readonly string[]> {
  const found: string[] = [];
  const visit = async (folder: string): Promise<void> => {
    for (const entry of await readdir(join(checkout, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory() && !["node_modules", "test"].includes(entry.name)) await visit(path);
      else if (isSource(entry)) found.push(path);
    }
  };
  for (const root of SOURCE_ROOTS) await visit(root);
  return [...FIXED_SOURCES, ...DEPLOY_SOURCES, ...found].toSorted();
}

function isSource(entry: Dirent): boolean {
  return entry.isFile() && /\.(ts|js|json)$/.test(entry.name) && !entry.name.endsWith(".test.ts");
}

async function findOrMake(bundles: string, options: ServiceProgramOptions): Promise<ServiceProgram> {
  const { checkout = CHECKOUT } = options;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const digest = await digestOfSources(checkout);
    const folder = join(bundles, digest);
    if (!existsSync(join(folder, ENTRY))) {
      const made = await make(bundles, options);
      // Sources that changed while they were bundled: nobody knows what is in it.
      if ((await digestOfSources(checkout)) !== digest) {
        await rm(made, { recursive: true, force: true });
        continue;
      }
      // Another start may have been faster, with the same result.
      await rename(made, folder).catch(() => rm(made, { recursive: true, force: true }));
      await removeUnused(bundles, digest, checkout);
    }
    await markUsed(folder);
    return { entry: join(folder, ENTRY), compileCache: join(folder, "compiled") };
  }
  throw new StartFailure("the sources changed while they were bundled: start again");
}

async function make(bundles: string, options: ServiceProgramOptions): Promise<string> {
  const { log, signal, say, variables, checkout = CHECKOUT } = options;
  const startedAt = performance.now();
  const folder = await mkdtemp(join(bundles, "new-"));
  const command: Command = {
    executable: process.execPath,
    args: [join(checkout, "deploy/bundle.ts"), folder],
    environment: variables,
  };
  const ending = await runCommand(command, log, signal);
  if (ending.code !== 0) throw new StartFailure(`the services could not be bundled: it ${describeEnding(ending)}`, log);
  await writeFile(join(folder, "checkout"), checkout);
  say(`  bundle of the services       ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
  return folder;
}

/** Marks a bundle as used by this process, until that ends. */
async function markUsed(folder: string): Promise<void> {
  await mkdir(join(folder, "users"), { recursive: true });
  await writeFile(join(folder, "users", `${process.pid}`), "");
  const now = new Date();
  await utimes(folder, now, now);
}

/** Removes earlier bundles of this checkout, and those of checkouts that are gone, unless a running node uses them. */
async function removeUnused(bundles: string, current: string, checkout: string): Promise<void> {
  for (const name of await readdir(bundles)) {
    const folder = join(bundles, name);
    if (name === current || (await isNeeded(folder, checkout))) continue;
    await rm(folder, { recursive: true, force: true });
  }
}

async function isNeeded(folder: string, checkout: string): Promise<boolean> {
  const { mtimeMs } = await stat(folder);
  if (Date.now() - mtimeMs < UNUSED_MS) return true;
  const users = await readdir(join(folder, "users")).catch(() => []);
  if (users.some((pid) => existsSync(`/proc/${pid}`))) return true;
  const madeFrom = await readFile(join(folder, "checkout"), "utf8").catch(() => checkout);
  return madeFrom !== checkout && existsSync(madeFrom);
}

function runsFromSource(environment: ServiceProgramOptions["environment"]): boolean {
  const choice = environment["ROUTEPLANE_RUN"]?.trim() || "bundle";
  if (choice === "bundle" || choice === "source") return choice === "source";
  throw new StartFailure(`ROUTEPLANE_RUN is ${JSON.stringify(choice)}: set it to bundle or source, or unset it`);
}
