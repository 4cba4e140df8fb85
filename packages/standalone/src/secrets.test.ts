import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { loadSecrets } from "./secrets.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "routeplane-home-"));
  return () => rm(home, { recursive: true, force: true });
});

describe("secrets", () => {
  it("stay the same, and missing ones are added", async () => {
    const path = join(home, "secrets.json");
    // The secrets of an earlier release, in which callers shared one credential.
    const { natsPasswords: _, serviceTokens: __, consoleKeys: ___, ...rest } = await loadSecrets(path);
    await writeFile(path, JSON.stringify(rest));
    const completed = await loadSecrets(path);
    expect(completed).toMatchObject(rest);
    const tokens = [completed.serviceToken, ...Object.values(completed.serviceTokens)];
    expect(tokens).toEqual(tokens.map(() => expect.stringMatching(/^rps_\w{43}$/)));
    const passwords = [completed.natsPassword, ...Object.values(completed.natsPasswords)];
    expect(passwords).toEqual(passwords.map(() => expect.stringMatching(/^[0-9a-f]{48}$/)));
    expect(new Set([...tokens, ...passwords]).size).toBe(9);
    expect(completed.consoleKeys).toMatch(/^c1:[\w-]{43}$/);
    expect(await loadSecrets(path)).toEqual(completed);
  });

  it("that are damaged are neither replaced nor quoted", async () => {
    const path = join(home, "secrets.json");
    await writeFile(path, '{"natsPassword": "hunter2"');
    const failure = await loadSecrets(path).catch((error: unknown) => String(error));
    expect(failure).toContain(`${path} is damaged`);
    expect(failure).not.toContain("hunter2");
    expect(await readFile(path, "utf8")).toContain("hunter2");
  });
});
