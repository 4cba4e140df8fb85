import { chmod, mkdir, readdir, realpath, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorCode, StartFailure } from "./start-failure.ts";
import { type HomeLayout, homeLayout } from "./home.ts";
import { readIfExists } from "./saved-files.ts";

const REASONS: Record<string, string> = {
  EACCES: "this user may not write there",
  EPERM: "writing there is not permitted",
  EROFS: "it is on a read-only file system",
  ENOTDIR: "a part of its path is a file, not a folder",
  EEXIST: "it is a file, not a folder",
  ENOENT: "no folder can be made there",
  ENOSPC: "the disk is full",
};

/**
 * Creates the folders of a home, for their owner only.
 *
 * @returns paths below the real path of the home
 * @throws StartFailure if the home cannot be written, or holds the node of another user
 */
export async function prepareHome(home: string): Promise<HomeLayout> {
  try {
    await makeFolder(home);
    const layout = homeLayout(await realpath(home));
    await assertOwn(layout);
    for (const folder of [layout.run, layout.log]) await makeFolder(folder);
    await assertWritable(layout);
    await hideSecrets(layout);
    return layout;
  } catch (error) {
    const reason = await reasonOf(error, home);
    if (reason === undefined) throw error;
    throw new StartFailure(
      `the node's state cannot be kept in ${home}: ${reason}; choose another folder with ROUTEPLANE_HOME`,
    );
  }
}

/** Checks that a home with data has the secrets, without which the data is useless. @throws StartFailure that names what is missing */
export async function assertComplete(layout: HomeLayout): Promise<void> {
  const hasData = (await readIfExists(join(layout.postgres, "data/PG_VERSION"))) !== undefined;
  if (!hasData || (await readIfExists(layout.secrets)) !== undefined) return;
  throw new StartFailure(
    `${layout.secrets} is missing, and the data in ${layout.postgres} cannot be used without it: ` +
      `restore it from a backup, or remove ${layout.home} to start anew`,
  );
}

/** Files of a node in `run/`: pid files of its roles and of the processes of a gateway, and addresses; also drafts of them. */
const RUN_FILES =
  /^(?:(?:postgres|nats|auth|policy|usage|aggregator|console|gateway(?:-\d+)?(?:\.worker-\d+)?)\.pid(?:\.new)?|addresses\.json(?:\.[\da-f-]{36})?)$/;

/**
 * Removes the files of an earlier run, in case its supervisor was killed before it could. Nothing else is touched: a home can be any folder,
 * and `run` in it a folder of something else, e.g. of the system in `/`.
 */
export async function clearRun(run: string): Promise<void> {
  for (const name of await readdir(run)) {
    if (RUN_FILES.test(name)) await rm(join(run, name), { force: true });
  }
}

/** Creates a folder and those above it. `mkdir` with `recursive` never ends if creating a folder fails with ENOENT, as in /proc. */
async function makeFolder(path: string): Promise<void> {
  const make = (): Promise<void> => mkdir(path, { mode: 0o700 });
  try {
    await make();
  } catch (error) {
    if (errorCode(error) === "EEXIST" && (await stat(path)).isDirectory()) return;
    if (errorCode(error) !== "ENOENT" || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await make();
  }
}

/** Checks that the node is this user's: root could write, but what it writes would keep the other user from starting the node again. */
async function assertOwn({ home, secrets }: HomeLayout): Promise<void> {
  const owner = (await stat(secrets).catch(() => undefined))?.uid;
  if (owner === undefined || owner === process.getuid?.()) return;
  throw new StartFailure(
    `the node in ${home} belongs to the user with id ${owner}: start it as that user, or choose another folder with ROUTEPLANE_HOME`,
  );
}

/** Makes files with secrets readable by their owner only: a backup may have been restored with other modes. */
async function hideSecrets({ home, secrets }: HomeLayout): Promise<void> {
  for (const file of [secrets, join(home, "operator-key"), join(home, "api-key")]) {
    const mode = (await stat(file).catch(() => undefined))?.mode ?? 0;
    if ((mode & 0o077) !== 0) await chmod(file, 0o600);
  }
}

async function assertWritable(layout: HomeLayout): Promise<void> {
  for (const folder of [layout.home, layout.run, layout.log]) {
    const probe = join(folder, `.writable-${process.pid}`);
    await writeFile(probe, "");
    await rm(probe);
  }
}

async function reasonOf(cause: unknown, home: string): Promise<string | undefined> {
  const entry = await stat(home).catch(() => undefined);
  if (entry?.isDirectory() === false) return REASONS["EEXIST"];
  return REASONS[errorCode(cause) ?? ""];
}
