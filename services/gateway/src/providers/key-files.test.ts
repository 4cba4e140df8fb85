import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, SecretFiles } from "@routeplane/runtime";
import { eventually } from "@routeplane/testing";
import { expect, it, onTestFinished } from "vitest";
import { KeyFiles } from "./key-files.ts";

it("reads keys from the files of variables, and reports a change of any file that was read, also after another load", async () => {
  const folder = mkdtempSync(join(tmpdir(), "key-files-"));
  const [first, later] = [join(folder, "first"), join(folder, "later")];
  const replace = (file: string, text: string): void => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  for (const file of [first, later]) replace(file, "sk-canary-1\n");
  const files = new SecretFiles();
  const keys = new KeyFiles(
    { A_KEY_FILE: first, B_KEY: "sk-canary-b", C_KEY: "sk-canary-c", C_KEY_FILE: first },
    files,
  );
  let changes = 0;
  keys.onChange(() => changes++);
  const watch = files.watch(createLogger("test", () => ""));
  onTestFinished(async () => {
    await watch.stop();
    rmSync(folder, { recursive: true });
  });

  expect([keys.variable("A_KEY"), keys.variable("B_KEY"), keys.variable("D_KEY")]).toEqual([
    "sk-canary-1",
    "sk-canary-b",
    undefined,
  ]);
  expect(() => keys.variable("C_KEY")).toThrow("C_KEY: is set, and C_KEY_FILE too");
  expect(() => keys.variable("C_KEY")).not.toThrow("canary");
  replace(first, "sk-canary-2");
  await eventually(() => changes === 1);
  expect(keys.variable("A_KEY")).toBe("sk-canary-2");
  expect(keys.read(later)).toBe("sk-canary-1");
  replace(later, "sk-canary-2");
  await eventually(() => changes === 2);
});

it("replaces a key while the file of another one cannot be read, which keeps its former key", async () => {
  const folder = mkdtempSync(join(tmpdir(), "key-files-"));
  const [first, other] = [join(folder, "first"), join(folder, "other")];
  for (const file of [first, other]) writeFileSync(file, "sk-1");
  const files = new SecretFiles();
  const keys = new KeyFiles({ A_KEY_FILE: first, B_KEY_FILE: other }, files);
  const load = (): readonly unknown[] => [keys.variable("A_KEY"), keys.variable("B_KEY")];
  let loaded = load();
  keys.onChange(() => (loaded = load()));
  const watch = files.watch(createLogger("test", () => ""));
  onTestFinished(async () => {
    await watch.stop();
    rmSync(folder, { recursive: true });
  });
  rmSync(other);
  writeFileSync(first, "sk-2");
  await eventually(() => loaded[0] === "sk-2");
  expect(loaded).toEqual(["sk-2", "sk-1"]);
  const missing = new KeyFiles({ A_KEY_FILE: other }, files);
  expect(() => missing.variable("A_KEY")).toThrow("A_KEY_FILE: ");
});
