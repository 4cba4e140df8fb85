import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CHECKOUT } from "@routeplane/standalone";

/**
 * Commit of the previous release, which must work together with this one on one database, in both directions. No release is tagged yet, so
 * this is the last commit before processes compared schemas by the names of migrations. A new release replaces it by its own tag.
 */
export const PREVIOUS_RELEASE = "3ad44d96ad109e20c0af92cc78d253e03522342c";

const run = promisify(execFile);
/** Longest time for installing and bundling. */
const TIMEOUT_MS = 600_000;

/**
 * Bundles the previous release with its own dependencies, from a `git worktree` that is removed again. Further calls use the bundle of the
 * first one, which is kept in node_modules.
 *
 * @returns absolute path of the file to run
 * @throws Error that says what is missing if the history of this checkout does not have the commit
 */
export async function bundlePreviousRelease(): Promise<string> {
  const kept = join(CHECKOUT, "node_modules/.cache/routeplane", PREVIOUS_RELEASE);
  const entry = join(kept, "routeplane.mjs");
  if (existsSync(entry)) return entry;
  await requireCommit();
  const folder = await mkdtemp(join(tmpdir(), "routeplane-previous-"));
  const [worktree, made] = [join(folder, "checkout"), join(folder, "bundle")];
  try {
    await git("worktree", "add", "--detach", worktree, PREVIOUS_RELEASE);
    const bootstrap = join(worktree, "packages/standalone/bin/bootstrap.js");
    await run(process.execPath, [bootstrap, "deploy/bundle.ts", made], { cwd: worktree, timeout: TIMEOUT_MS });
    await mkdir(join(kept, ".."), { recursive: true });
    await rename(made, kept).catch(async (error: NodeJS.ErrnoException) => {
      // Another file system, or another call has finished earlier.
      if (error.code !== "EXDEV" && error.code !== "ENOTEMPTY") throw error;
      await run("cp", ["--recursive", "--no-target-directory", made, kept]);
    });
  } finally {
    await git("worktree", "remove", "--force", worktree).catch(() => {});
    await rm(folder, { recursive: true, force: true });
  }
  return entry;
}

async function requireCommit(): Promise<void> {
  try {
    await git("cat-file", "-e", `${PREVIOUS_RELEASE}^{commit}`);
  } catch (cause) {
    const isShallow = await git("rev-parse", "--is-shallow-repository").catch(() => "");
    const reason = isShallow.trim() === "true" ? "it is a shallow clone: run `git fetch --unshallow`" : "fetch it";
    throw new Error(`this checkout does not have the previous release, ${PREVIOUS_RELEASE}; ${reason}`, { cause });
  }
}

async function git(...args: readonly string[]): Promise<string> {
  const { stdout } = await run("git", ["-C", CHECKOUT, ...args]);
  return stdout;
}
