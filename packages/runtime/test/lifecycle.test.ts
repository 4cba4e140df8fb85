import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { eventually } from "@routeplane/testing";
import { expect, it, onTestFinished } from "vitest";

const INDEX = new URL("../src/index.ts", import.meta.url).href;

/** Starts a process whose drain lasts until its signal or, if not `isBusy`, ends at once. It writes what happens, in order. */
async function startProcess(isBusy: boolean) {
  const script = `
    import { createLogger, Readiness, runProcess } from ${JSON.stringify(INDEX)};
    const say = (text) => process.stdout.write(text + " ");
    const readiness = new Readiness();
    setInterval(() => {}, 1_000);
    setInterval(() => readiness.isReady && !globalThis.said && say((globalThis.said = "ready")), 5);
    await runProcess(async () => ({
      log: createLogger("test", () => ""),
      readiness,
      components: [{ name: "part", stop: async () => say("stopped") }],
      async drain(signal) {
        say(readiness.isReady ? "ready?" : "draining");
        if (${isBusy}) await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    }));`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  const exited = once(child, "close") as Promise<[number | null]>;
  const says = (text: string) => eventually(() => output.endsWith(`${text} `));
  await says("ready");
  return {
    says,
    signal: (name: NodeJS.Signals) => child.kill(name),
    async ending() {
      const [code] = await exited;
      return { code, output: output.trim() };
    },
  };
}

it("SIGTERM makes a process unready, drains it and then stops its components", async () => {
  const running = await startProcess(false);
  running.signal("SIGTERM");
  expect(await running.ending()).toEqual({ code: 0, output: "ready draining stopped" });
});

it.each(["SIGTERM", "SIGINT"] as const)("%s ends a drain that is under way", async (second) => {
  const running = await startProcess(true);
  running.signal("SIGTERM");
  await running.says("draining");
  running.signal(second);
  expect(await running.ending()).toEqual({ code: 0, output: "ready draining stopped" });
});

it("SIGINT stops a process without a drain, as Ctrl-C should", async () => {
  const running = await startProcess(true);
  running.signal("SIGINT");
  expect(await running.ending()).toEqual({ code: 0, output: "ready stopped" });
});

it("keeps running while its log cannot be written, as on a full disk", async () => {
  const script = `
    import { createLogger, Readiness, runProcess } from ${JSON.stringify(INDEX)};
    const log = createLogger("test", (line) => line);
    let lines = 0;
    setInterval(() => {
      log.warn("event");
      process.stderr.write("line " + ++lines + " ");
    }, 5);
    await runProcess(async () => ({ log, readiness: new Readiness(), components: [] }));`;
  // Each write to this device fails with ENOSPC.
  const full = openSync("/dev/full", "w");
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: ["ignore", full, "pipe"] });
  closeSync(full);
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (output += text));
  const exited = once(child, "close") as Promise<[number | null]>;
  await eventually(() => output.includes("line 20 ") || child.exitCode !== null);
  child.kill("SIGTERM");
  expect([(await exited)[0], output]).toEqual([0, expect.not.stringContaining("ENOSPC")]);
});
