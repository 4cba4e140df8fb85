import { spawn } from "node:child_process";
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { prepareServiceProgram, type ServiceProgram } from "../src/service-bundle.ts";

const SOURCES: Readonly<Record<string, string>> = {
  "package.json": "{}",
  "pnpm-lock.yaml": "",
  "pnpm-workspace.yaml": "",
  "deploy/package.json": "{}",
  "deploy/routeplane.ts": "",
  "deploy/source-positions.ts": "",
  // A bundler that copies one source, and counts how often it ran.
  "deploy/bundle.ts": `
    import { appendFileSync, copyFileSync } from "node:fs";
    const root = import.meta.dirname + "/..";
    appendFileSync(root + "/runs", "x");
    copyFileSync(root + "/services/auth/src/main.ts", process.argv[2] + "/routeplane.mjs");`,
  "services/auth/src/main.ts": "// first",
  "packages/rpc/src/index.ts": "// first",
};

let folder: string;
let checkout: string;
const said: string[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-service-bundle-"));
  checkout = join(folder, "checkout");
  for (const [path, content] of Object.entries(SOURCES)) await write(path, content);
  said.length = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(path: string, content: string): Promise<void> {
  await mkdir(dirname(join(checkout, path)), { recursive: true });
  await writeFile(join(checkout, path), content);
}

function prepare(environment: Readonly<Record<string, string>> = {}): Promise<ServiceProgram> {
  return prepareServiceProgram({
    checkout,
    environment: { XDG_CACHE_HOME: join(folder, "cache"), ...environment },
    variables: {},
    log: join(folder, "bundle.log"),
    signal: new AbortController().signal,
    say: (text) => said.push(text),
  });
}

const runs = async (): Promise<number> => (await readFile(join(checkout, "runs"), "utf8")).length;
const bundles = (): Promise<string[]> => readdir(join(folder, "cache/routeplane/bundles"));

/** Dates the last start of a bundle back to long ago. */
async function age({ entry }: ServiceProgram): Promise<void> {
  await utimes(dirname(entry), new Date(0), new Date(0));
}

/** Replaces the mark of this process, which uses a bundle, by that of an ended or a different process. */
async function replaceUser({ entry }: ServiceProgram, pid: number | undefined): Promise<void> {
  await rm(join(dirname(entry), "users"), { recursive: true });
  if (pid === undefined) return;
  await mkdir(join(dirname(entry), "users"));
  await writeFile(join(dirname(entry), "users", `${pid}`), "");
}

it("makes a bundle once, and uses it as long as no source changes", async () => {
  const first = await prepare();
  expect(await readFile(first.entry, "utf8")).toBe("// first");
  expect(await prepare()).toEqual(first);
  expect(await runs()).toBe(1);
  await write("services/auth/test/main.test.ts", "// no part of it");
  await write("packages/rpc/src/index.test.ts", "// no part of it");
  expect(await prepare()).toEqual(first);
});

it.each(["services/auth/src/main.ts", "packages/rpc/src/index.ts", "packages/rpc/package.json", "pnpm-lock.yaml"])(
  "never runs a bundle from before an edit of %s",
  async (path) => {
    const first = await prepare();
    await write(path, "// edited");
    const second = await prepare();
    expect(second.entry).not.toBe(first.entry);
    expect(await runs()).toBe(2);
    if (path.startsWith("services/auth")) expect(await readFile(second.entry, "utf8")).toBe("// edited");
  },
);

it.each([
  ["was removed in part", (entry: string) => rm(entry)],
  ["is empty since the machine lost its power", (entry: string) => writeFile(entry, "")],
])("makes a bundle again that %s", async (_, damage) => {
  const { entry } = await prepare();
  await damage(entry);
  expect((await prepare()).entry).toBe(entry);
  expect(await readFile(entry, "utf8")).toBe("// first");
  expect(await runs()).toBe(2);
});

it("keeps no bundle of sources that changed while it was made", async () => {
  const bundler = SOURCES["deploy/bundle.ts"] ?? "";
  const edit = `if (readFileSync(root + "/runs", "utf8") === "x") writeFileSync(root + "/services/auth/src/main.ts", "// edited");`;
  await write("deploy/bundle.ts", `import { readFileSync, writeFileSync } from "node:fs";${bundler}${edit}`);
  const { entry } = await prepare();
  expect(await readFile(entry, "utf8")).toBe("// edited");
  expect([await runs(), (await bundles()).length]).toEqual([2, 1]);
});

it("removes earlier bundles of the checkout, unless a running process uses them", async () => {
  const first = await prepare();
  const other = spawn("sleep", ["60"]);
  try {
    await replaceUser(first, other.pid);
    await age(first);
    await write("services/auth/src/main.ts", "// second");
    const second = await prepare();
    expect((await bundles()).length).toBe(2);
    await replaceUser(first, undefined);
    await age(first);
    await age(second);
    await write("services/auth/src/main.ts", "// third");
    await prepare();
    // The second is used by this process.
    expect((await bundles()).length).toBe(2);
    expect(await readFile(second.entry, "utf8")).toBe("// second");
  } finally {
    other.kill("SIGKILL");
  }
});

it("removes bundles of checkouts that are gone, and no others", async () => {
  const first = await prepare();
  await replaceUser(first, undefined);
  await age(first);
  const moved = join(folder, "moved");
  await cp(checkout, moved, { recursive: true });
  const away = checkout;
  checkout = moved;
  await prepare();
  expect((await bundles()).length).toBe(2);
  await rm(away, { recursive: true });
  await age(first);
  await appendFile(join(checkout, "services/auth/src/main.ts"), "// more");
  await prepare();
  expect(await bundles()).not.toContain(first.entry.split("/").at(-2));
});

it("runs the sources if the environment asks for it, or if no bundle can be kept", async () => {
  const source = join(checkout, "deploy/routeplane.ts");
  expect((await prepare({ ROUTEPLANE_RUN: "source" })).entry).toBe(source);
  await writeFile(join(folder, "file"), "");
  expect((await prepare({ XDG_CACHE_HOME: join(folder, "file") })).entry).toBe(source);
  expect(said.join()).toContain("the services run from their sources");
  await expect(prepare({ ROUTEPLANE_RUN: "bundel" })).rejects.toThrow("set it to bundle or source");
});

it("fails the start with the bundler's output if the sources cannot be bundled", async () => {
  await write("deploy/bundle.ts", "throw new Error('no bundle today')");
  await expect(prepare()).rejects.toThrow("the services could not be bundled");
  expect(await readFile(join(folder, "bundle.log"), "utf8")).toContain("no bundle today");
});
