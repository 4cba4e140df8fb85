import { access, chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { natsBinary } from "../src/servers/nats-binary.ts";

/** Fakes of the distribution's tools. They append their arguments to `calls`, and fail if `fails` matches those. */
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-apt-"));
  await mkdir(join(folder, "bin"));
  const program = async (name: string, body: string): Promise<void> => {
    const script = `#!/bin/sh\necho ${name} "$@" >> ${folder}/calls\n${body}\n`;
    await writeFile(join(folder, "bin", name), script);
    await chmod(join(folder, "bin", name), 0o755);
  };
  await program(
    "apt-get",
    `case "$*" in
       *download*) [ -e ${folder}/lists ] || { echo "E: Unable to locate package nats-server" >&2; exit 100; }; echo > nats-server_2_amd64.deb;;
       update) [ ! -e ${folder}/offline ] || { echo "E: no network" >&2; exit 100; }; touch ${folder}/lists;;
     esac`,
  );
  await program(
    "dpkg-deb",
    `mkdir -p "$3/usr/sbin"; printf '#!/bin/sh\\n' > "$3/usr/sbin/nats-server"; chmod +x "$3/usr/sbin/nats-server"`,
  );
  return () => rm(folder, { recursive: true });
});

function find(present: readonly string[]): Promise<string> {
  return natsBinary({
    environment: { XDG_CACHE_HOME: join(folder, "cache") },
    say: (text) => messages.push(text),
    signal: AbortSignal.timeout(10_000),
    find: (name) => (present.includes(name) ? join(folder, "bin", name) : undefined),
  });
}

const messages: string[] = [];
beforeEach(() => void messages.splice(0));

it("takes the program of the machine", async () => {
  expect(await find(["nats-server", "apt-get", "dpkg-deb"])).toBe(join(folder, "bin/nats-server"));
  expect(messages).toEqual([]);
});

it("fetches the package of the distribution once, without installing it, and reports that", async () => {
  const path = await find(["apt-get", "dpkg-deb"]);
  await access(path);
  expect(messages).toEqual([expect.stringContaining("apt-get download nats-server")]);
  const calls = await readFile(join(folder, "calls"), "utf8");
  expect(calls).not.toMatch(/\binstall\b/);
  expect(calls).toMatch(/download[\s\S]*update[\s\S]*download[\s\S]*--extract/);
  expect(await find(["apt-get", "dpkg-deb"])).toBe(path);
  expect(await readFile(join(folder, "calls"), "utf8")).toBe(calls);
});

it("reports why fetching failed and what to do", async () => {
  await writeFile(join(folder, "offline"), "");
  await expect(find(["apt-get", "dpkg-deb"])).rejects.toThrow(/could not be fetched \(E: no network\): install it/);
});

it("reports what to do if there is no known package manager", async () => {
  await expect(find([])).rejects.toThrow(/not on the PATH, and there is no apt-get.*https:\/\/nats\.io\/download/);
});
