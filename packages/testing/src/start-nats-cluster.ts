import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reservePorts } from "@routeplane/standalone";
import { startCommand } from "@routeplane/standalone/servers";
import { inject } from "vitest";
import { eventually } from "./eventually.ts";

/** Three nats-servers that form one JetStream cluster, each a process with its own files. */
export interface TestNatsCluster {
  /** URL of all three servers, with user, password and the number of replicas of a stream. */
  readonly url: string;
  /** Kills a server as a crash would: nothing is flushed. */
  kill(index: number): Promise<void>;
  /** Starts the same server again after `kill`. Resolves once it has caught up with the others. */
  start(index: number): Promise<void>;
  /** Kills the servers and removes their files. */
  remove(): Promise<void>;
}

const SIZE = 3;
const USER = "routeplane";
const PASSWORD = "test";

export async function startNatsCluster(): Promise<TestNatsCluster> {
  const folder = await mkdtemp(join(tmpdir(), `routeplane-test-${process.pid}-`));
  const { ports, release } = await reservePorts(SIZE * 3);
  const [clients, routes, monitors] = [ports.slice(0, SIZE), ports.slice(SIZE, 2 * SIZE), ports.slice(2 * SIZE)];
  const executable = inject("testServers").natsExecutable;
  const children: ChildProcess[] = [];

  const isHealthy = async (index: number): Promise<boolean> => {
    const response = await fetch(`http://127.0.0.1:${monitors[index]}/healthz`, { signal: AbortSignal.timeout(1_000) });
    await response.body?.cancel();
    return response.ok;
  };
  const launch = async (index: number): Promise<void> => {
    const home = join(folder, `${index}`);
    await mkdir(home, { recursive: true });
    const configuration = join(home, "nats.conf");
    const peers = routes.map((port) => `nats-route://127.0.0.1:${port}`).join(", ");
    await writeFile(
      configuration,
      `host: "127.0.0.1"
port: ${clients[index]}
http: "127.0.0.1:${monitors[index]}"
server_name: "node-${index}"
authorization { user: "${USER}", password: "${PASSWORD}" }
jetstream { store_dir: ${JSON.stringify(home)} }
cluster { name: "routeplane", host: "127.0.0.1", port: ${routes[index]}, routes: [${peers}] }
`,
    );
    const command = {
      executable,
      args: ["--config", configuration],
      environment: {},
      parentDeathSignal: "TERM" as const,
    };
    children[index] = startCommand(command, join(home, "nats.log"));
  };
  const kill = async (index: number): Promise<void> => {
    const child = children[index];
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  const all = Array.from({ length: SIZE }, (_, index) => index);
  await Promise.all(all.map(launch));
  await Promise.all(all.map((index) => eventually(() => isHealthy(index), 30_000)));
  return {
    url: `${clients.map((port) => `nats://${USER}:${PASSWORD}@127.0.0.1:${port}`).join(",")}?replicas=${SIZE}`,
    kill,
    async start(index) {
      await launch(index);
      await eventually(() => isHealthy(index), 30_000);
    },
    async remove() {
      await Promise.all(all.map(kill));
      release();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
