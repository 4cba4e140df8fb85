import { execFile } from "node:child_process";
import { chmod, copyFile, cp, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { ContainerEngine } from "./containers.ts";

const run = promisify(execFile);

/** Registry of the base image, called to find out whether it can be reached. */
const REGISTRY = "https://registry-1.docker.io/v2/";
const REGISTRY_TIMEOUT_MS = 5_000;
const STAND_IN = "localhost/node-base:stand-in";
const NPM_FOLDER = "/usr/local/lib/node_modules/npm";
const AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";

/**
 * Parameters of a build that replace the base image `name` if its registry cannot be reached, by an image with the same Node.js and the
 * shell, libraries and npm of this machine. Empty if the registry can be reached.
 */
export async function baseImageParameters(engine: ContainerEngine, name: string): Promise<readonly string[]> {
  const isReachable = await fetch(REGISTRY, { signal: AbortSignal.timeout(REGISTRY_TIMEOUT_MS) }).then(
    () => true,
    () => false,
  );
  if (isReachable) return [];
  process.stderr.write(`${REGISTRY} cannot be reached: building on this machine's files in place of ${name}\n`);
  await importStandIn(engine);
  return ["--build-context", `${name}=container-image://${STAND_IN}`];
}

async function importStandIn(engine: ContainerEngine): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "routeplane-base-"));
  try {
    const root = join(folder, "root");
    for (const [path, mode] of [
      ["tmp", 0o1777],
      ["etc", 0o755],
      ["root", 0o700],
    ] as const) {
      await mkdir(join(root, path), { recursive: true });
      await chmod(join(root, path), mode);
    }
    const programs = { "/usr/local/bin/node": process.execPath, "/bin/sh": "/bin/sh", "/usr/bin/env": "/usr/bin/env" };
    const libraries = await Promise.all(Object.values(programs).map(librariesOf));
    const files = { ...programs, ...Object.fromEntries(libraries.flat().map((path) => [path, path])) };
    for (const [path, source] of Object.entries({ ...files, [AUTHORITIES]: AUTHORITIES })) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await copyFile(await realpath(source), join(root, path));
    }
    const { stdout: globalFolder } = await run("npm", ["root", "--global"]);
    await cp(join(globalFolder.trim(), "npm"), join(root, NPM_FOLDER), { recursive: true });
    const npm = join(root, "usr/local/bin/npm");
    await writeFile(npm, `#!/bin/sh\nexec node ${NPM_FOLDER}/bin/npm-cli.js "$@"\n`, { mode: 0o755 });
    await writeFile(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
    await writeFile(join(root, "etc/nsswitch.conf"), "hosts: files dns\n");
    const archive = join(folder, "root.tar");
    await run("tar", ["--create", "--file", archive, "--directory", root, "."]);
    const variables = [
      "PATH=/usr/local/bin:/usr/bin:/bin",
      `NODE_EXTRA_CA_CERTS=${AUTHORITIES}`,
      `SSL_CERT_FILE=${AUTHORITIES}`,
    ];
    const changes = variables.flatMap((variable) => ["--change", `ENV ${variable}`]);
    await engine.podman("import", ...changes, archive, STAND_IN);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Shared libraries of a program, and its loader. */
async function librariesOf(program: string): Promise<readonly string[]> {
  const { stdout } = await run("ldd", [program]);
  const libraries = [...stdout.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map(([, path = ""]) => path);
  // Part of the same glibc. The package manager, which the build installs later, needs it.
  const realtime = libraries
    .filter((path) => path.endsWith("/libc.so.6"))
    .map((path) => join(dirname(path), "librt.so.1"));
  return [...libraries, ...realtime];
}
