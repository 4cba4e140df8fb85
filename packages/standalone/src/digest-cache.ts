import { createHash } from "node:crypto";
import { type Dirent, existsSync, readFileSync, statSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { StartFailure } from "./start-failure.ts";

/** Cache of results that are made from the sources of a checkout, each kept under the digest of its sources. */
export interface DigestCache {
  /** Folder that holds the results of all checkouts. */
  readonly folder: string;
  /** Folder of the sources. */
  readonly checkout: string;
  /** Paths of all sources, relative to the checkout and sorted. Dependencies count by the lockfile. */
  readonly sources: () => Promise<readonly string[]>;
  /** File that every complete result has, relative to its folder. */
  readonly entry: string;
  /** Makes a result in an empty folder. @throws StartFailure */
  readonly make: (folder: string) => Promise<void>;
}

/** Attempts to make a result from sources that change meanwhile. */
const ATTEMPTS = 3;
/** Time for which a result without a running node is kept: a start needs it between look-up and mark. */
const UNUSED_MS = 60_000;

/**
 * Finds the result of the present sources, or makes it; safe in several processes at once. Marks it as used by this process until the
 * process ends. When a new result is made, earlier results of the checkout that no node uses are removed.
 *
 * @returns the folder of the result
 * @throws StartFailure if it cannot be made; another error if the folder cannot be written
 */
export async function findOrMake(cache: DigestCache): Promise<string> {
  const { folder, checkout, entry } = cache;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const digest = await digestOf(cache);
    const result = join(folder, digest);
    if (!isComplete(result, entry)) {
      const made = await mkdtemp(join(folder, "new-"));
      await cache.make(made);
      await writeFile(join(made, "checkout"), checkout);
      // The sources changed while the result was made: its content is undefined.
      if ((await digestOf(cache)) !== digest) {
        await rm(made, { recursive: true, force: true });
        continue;
      }
      // Another start may have made the same result earlier.
      if (!isComplete(result, entry)) await rm(result, { recursive: true, force: true });
      await rename(made, result).catch(() => rm(made, { recursive: true, force: true }));
      await removeUnused(folder, digest, checkout);
    }
    await markUsed(result);
    return result;
  }
  throw new StartFailure("the sources changed while they were bundled: start again");
}

/** False also for what a removal that was interrupted, or a machine that lost its power, has left of a result. */
function isComplete(result: string, entry: string): boolean {
  return (statSync(join(result, entry), { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/** Paths of the files in a folder of a checkout, relative to the checkout. @param isTaken decides on files and folders */
export async function filesIn(
  checkout: string,
  folder: string,
  isTaken: (entry: Dirent, path: string) => boolean,
): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(join(checkout, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (!isTaken(entry, path)) continue;
    if (entry.isDirectory()) found.push(...(await filesIn(checkout, path, isTaken)));
    else if (entry.isFile()) found.push(path);
  }
  return found;
}

/**
 * Digest of all sources and their paths. A thousand small files are read in 30 ms of CPU time synchronously, and in 250 ms
 * otherwise.
 */
async function digestOf({ checkout, sources }: DigestCache): Promise<string> {
  const hash = createHash("sha256").update(checkout);
  for (const path of await sources()) hash.update(`\0${path}\0`).update(readFileSync(join(checkout, path)));
  return hash.digest("hex").slice(0, 32);
}

async function markUsed(result: string): Promise<void> {
  await mkdir(join(result, "users"), { recursive: true });
  await writeFile(join(result, "users", `${process.pid}`), "");
  const now = new Date();
  await utimes(result, now, now);
}

/** Removes earlier results of this checkout, and those of checkouts that are gone, unless a running node uses them. */
async function removeUnused(folder: string, current: string, checkout: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const result = join(folder, name);
    if (name === current || (await isNeeded(result, checkout))) continue;
    await rm(result, { recursive: true, force: true });
  }
}

async function isNeeded(result: string, checkout: string): Promise<boolean> {
  const { mtimeMs } = await stat(result);
  if (Date.now() - mtimeMs < UNUSED_MS) return true;
  const users = await readdir(join(result, "users")).catch(() => []);
  if (users.some((pid) => existsSync(`/proc/${pid}`))) return true;
  const madeFrom = await readFile(join(result, "checkout"), "utf8").catch(() => checkout);
  return madeFrom !== checkout && existsSync(madeFrom);
}
