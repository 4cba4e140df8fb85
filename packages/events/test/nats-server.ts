import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, connect as dial } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type NatsAddress, parseNatsUrl } from "../src/index.ts";

/** A nats-server of its own, that can be killed and started again on the same port and files. */
export interface NatsServer {
  readonly address: NatsAddress;
  start(): Promise<void>;
  /** As if it fell dead: nothing is flushed. */
  kill(): Promise<void>;
  /** It keeps its connections and answers nothing, until `resume`. */
  pause(): void;
  resume(): void;
  /** Kills it and removes its files. */
  remove(): Promise<void>;
}

export async function createNatsServer(): Promise<NatsServer> {
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), "routeplane-nats-"));
  let child: ChildProcess | undefined;
  const kill = async (): Promise<void> => {
    if (child === undefined) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    child = undefined;
    await exited;
  };
  const address = parseNatsUrl(`nats://127.0.0.1:${port}`);
  if (address === undefined) throw new Error("unreachable: the address is well-formed");
  return {
    address,
    async start() {
      const flags = ["--jetstream", "--store_dir", directory, "--addr", "127.0.0.1", "--port", `${port}`];
      child = spawn("nats-server", flags, { stdio: "ignore" });
      await eventually(() => accepts(port));
    },
    kill,
    pause: () => void child?.kill("SIGSTOP"),
    resume: () => void child?.kill("SIGCONT"),
    async remove() {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Polls until `condition` holds. */
export async function eventually(condition: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  const until = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > until) throw new Error(`did not hold within ${timeoutMs} ms: ${condition.toString()}`);
    await delay(10);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return address.port;
}

async function accepts(port: number): Promise<boolean> {
  const socket = dial(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
