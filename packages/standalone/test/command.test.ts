import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { runCommand } from "../src/process/command.ts";
import { waitUntil } from "../src/process/wait.ts";

const folder = await mkdtemp(join(tmpdir(), "routeplane-command-"));
const log = join(folder, "some.log");
afterAll(() => rm(folder, { recursive: true }));

function shell(script: string, environment: Record<string, string> = {}) {
  return { executable: "/bin/sh", args: ["-c", script], environment };
}

it("gives a process no variable of this process", async () => {
  const ending = await runCommand(shell("env", { ONLY: "this" }), log, new AbortController().signal);
  expect(ending).toEqual({ code: 0, signal: null });
  expect(await readFile(log, "utf8")).toMatch(/^ONLY=this$/m);
  expect(await readFile(log, "utf8")).not.toMatch(/^HOME=/m);
});

it("ends the processes that a process has started when the run is cancelled", async () => {
  const given = new AbortController();
  const file = join(folder, "grandchild");
  const run = runCommand(shell(`sleep 60 & echo $! > ${file}; wait`), log, given.signal);
  await waitUntil(async () => (await readFile(file, "utf8").catch(() => "")).endsWith("\n"), { timeoutMs: 5_000 });
  given.abort();
  await expect(run).rejects.toThrow("aborted");
  const stat = join("/proc", (await readFile(file, "utf8")).trim(), "stat");
  // Gone, or dead and not yet collected.
  const isOver = async (): Promise<boolean> => / Z /.test(await readFile(stat, "utf8").catch(() => " Z "));
  expect(await waitUntil(isOver, { timeoutMs: 2_000 })).toBe(true);
});
