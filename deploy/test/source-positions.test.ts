import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, expect, it } from "vitest";
import { encodePositions, POSITIONS_SUFFIX } from "../source-positions.ts";

const folder = await mkdtemp(join(tmpdir(), "routeplane-positions-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

const SOURCES = {
  "a.ts": `import { fail } from "./b.ts";
/** Calls the other file, some lines below. */
export async function outer(depth: number): Promise<void> {
  const text: string = "padding".repeat(depth);
  await Promise.resolve();
  fail(text);
}
`,
  "b.ts": `// A comment that the bundle has not.

interface Erased {
  readonly text: string;
}
export function fail(text: Erased["text"]): never {
  throw new TypeError(text);
}
`,
};

/** Stack of the error that the bundled sources throw, with or without their table. */
async function stackOf(withTable: boolean): Promise<string> {
  for (const [name, content] of Object.entries(SOURCES)) await writeFile(join(folder, name), content);
  const { outputFiles } = await build({
    absWorkingDir: folder,
    entryPoints: ["a.ts"],
    outfile: join(folder, "bundled.mjs"),
    format: "esm",
    bundle: true,
    minifyWhitespace: true,
    sourcemap: "external",
    write: false,
  });
  const file = join(folder, `bundled-${withTable}.mjs`);
  for (const { path, text } of outputFiles) {
    if (!path.endsWith(".map")) await writeFile(file, text);
    else if (withTable) await writeFile(`${file}${POSITIONS_SUFFIX}`, encodePositions(JSON.parse(text)));
  }
  const script = `
    const { nameSourcesInStacks } = await import(${JSON.stringify(join(import.meta.dirname, "../source-positions.ts"))});
    nameSourcesInStacks();
    const { outer } = await import(${JSON.stringify(file)});
    await outer(1).catch((error) => console.log(error.stack));`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script]);
  return stdout;
}

it("names the source and line of each frame of a bundled file", async () => {
  const lines = (await stackOf(true)).split("\n");
  expect(lines.slice(0, 3)).toEqual(["TypeError: padding", "    at fail (b.ts:7)", "    at outer (a.ts:6)"]);
});

it("leaves frames of files without a table as they are", async () => {
  expect(await stackOf(false)).toContain("bundled-false.mjs:1:");
});
