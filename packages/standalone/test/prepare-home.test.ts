import { chmod, chown, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { prepareHome } from "../src/prepare-home.ts";

const OTHER_USER = 65_534;

async function newHome(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), "routeplane-prepare-home-"));
  onTestFinished(() => rm(home, { recursive: true }));
  await writeFile(join(home, "secrets.json"), "{}");
  return home;
}

it("hides secrets from other users that were restored with a wider mode", async () => {
  const home = await newHome();
  for (const file of ["secrets.json", "operator-key", "api-key"]) {
    await writeFile(join(home, file), "{}");
    await chmod(join(home, file), 0o644);
  }
  await prepareHome(home);
  for (const file of ["secrets.json", "operator-key", "api-key"])
    expect([file, (await stat(join(home, file))).mode & 0o777]).toEqual([file, 0o600]);
});

it.runIf(process.getuid?.() === 0)("leaves a node of another user as it is when root starts it", async () => {
  const home = await newHome();
  await chown(join(home, "secrets.json"), OTHER_USER, OTHER_USER);
  await expect(prepareHome(home)).rejects.toThrow(`belongs to the user with id ${OTHER_USER}`);
  expect(await readdir(home)).toEqual(["secrets.json"]);
});
