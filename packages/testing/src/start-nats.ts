import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reservePorts } from "@routeplane/standalone";
import { natsUrl, prepareNats, startCommand } from "@routeplane/standalone/servers";
import { inject } from "vitest";
import { eventually } from "./eventually.ts";
import { suspendProcess } from "./suspend-process.ts";

/** A nats-server, which keeps its port and files over restarts. */
export interface TestNats {
  /** URL for the user that has all permissions. */
  readonly url: string;
  /** URL for the user of gateways, with its permissions. */
  readonly gatewayUrl: string;
  /** URL for the user of aggregators, with its permissions. */
  readonly aggregatorUrl: string;
  /** Starts the same server again after `kill`. */
  start(): Promise<void>;
  /** Kills the server as a crash would: nothing is flushed. */
  kill(): Promise<void>;
  /** Suspends the server until `resume`: it keeps its connections and answers nothing. */
  pause(): void;
  resume(): void;
  /**
   * Rewrites the configuration, which the running server then reads again. The configuration contains placeholders for the passwords of
   * users.
   */
  reconfigure(edit: (configuration: string) => string): Promise<void>;
  /** Kills the server and removes its files. */
  remove(): Promise<void>;
}

/** Starts a server, in about 50 ms. Each test file has its own, so that it shares no streams. */
export async function startNats(): Promise<TestNats> {
  const folder = await mkdtemp(join(tmpdir(), `routeplane-test-${process.pid}-`));
  const { ports, release } = await reservePorts(1);
  const [port] = ports as [number];
  const address = { port, password: "test", passwords: { gateway: "of gateways", aggregator: "of aggregators" } };
  const executable = inject("testServers").natsExecutable;
  const spec = await prepareNats({ ...address, executable, folder: join(folder, "nats") });
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const started = startCommand(spec.command, join(folder, "nats.log"));
    child = started;
    await eventually(() => spec.isReady(started.pid ?? 0));
  };
  const kill = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  await start();
  return {
    url: natsUrl(address),
    gatewayUrl: natsUrl(address, "gateway"),
    aggregatorUrl: natsUrl(address, "aggregator"),
    start,
    kill,
    pause: () => suspendProcess(child?.pid ?? 0),
    resume: () => void child?.kill("SIGCONT"),
    async reconfigure(edit) {
      const path = join(folder, "nats", "nats.conf");
      const log = join(folder, "nats.log");
      const reloads = async (): Promise<number> => (await readFile(log, "utf8")).split("Reloaded server config").length;
      const before = await reloads();
      await writeFile(path, edit(await readFile(path, "utf8")));
      child?.kill("SIGHUP");
      await eventually(async () => (await reloads()) > before);
    },
    async remove() {
      await kill();
      release();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
