import { chmod, chown, mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { clearRun, prepareHome } from "../src/prepare-home.ts";

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

it("removes what an earlier run has left in run/, and nothing that belongs to others", async () => {
  const { run } = await prepareHome(await newHome());
  const own = ["gateway.pid", "gateway-2.pid", "gateway.worker-1.pid", "nats.pid.new", "addresses.json"];
  const draft = "addresses.json.0b9d5b3c-6d5e-4d55-8a67-0f6c3a4e8c11";
  const others = ["notes.txt", "sshd.pid"];
  for (const name of [...own, draft, ...others]) await writeFile(join(run, name), "");
  await mkdir(join(run, "lock/nested"), { recursive: true });
  await clearRun(run);
  expect((await readdir(run)).toSorted()).toEqual(["lock", ...others]);
});
