import { chown, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { prepareHome } from "../src/prepare-home.ts";

const OTHER_USER = 65_534;

it.runIf(process.getuid?.() === 0)("leaves a node of another user as it is when root starts it", async () => {
  const home = await mkdtemp(join(tmpdir(), "routeplane-prepare-home-"));
  onTestFinished(() => rm(home, { recursive: true }));
  await writeFile(join(home, "secrets.json"), "{}");
  await chown(join(home, "secrets.json"), OTHER_USER, OTHER_USER);
  await expect(prepareHome(home)).rejects.toThrow(`belongs to the user with id ${OTHER_USER}`);
  expect(await readdir(home)).toEqual(["secrets.json"]);
});
