import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { readSaved, removeSaved, writeSaved } from "./saved-files.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "routeplane-home-"));
  return () => rm(home, { recursive: true, force: true });
});

describe("saved files", () => {
  it("keep a secret readable by its owner only, even if the file was readable by all", async () => {
    await writeFile(join(home, "api-key"), "old");
    await chmod(join(home, "api-key"), 0o644);
    await writeSaved(home, "api-key", "new");
    expect((await stat(join(home, "api-key"))).mode & 0o777).toBe(0o600);
    expect(await readSaved(home, "api-key")).toBe("new");
  });

  it("have no value if they are missing, empty or removed", async () => {
    expect(await readSaved(home, "url")).toBeUndefined();
    await writeSaved(home, "url", "");
    expect(await readSaved(home, "url")).toBeUndefined();
    await removeSaved(home, "url");
    await removeSaved(home, "url");
  });
});
