import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSaved, type ReservedPorts, reservePorts, type SavedFile } from "@routeplane/standalone";
import { copyMigratedHome, eventually, suspendProcess } from "@routeplane/testing";
import { type CommandResult, runCli, type RunningCommand, type RunOptions, runUp } from "./commands.ts";
import { isAlive, parentOf } from "./processes.ts";

export interface StartOptions {
  /** Home of an earlier node, to start it again, or of `newHome`. By default a new one whose schemas are migrated already. */
  readonly home?: string;
  /** Port of the first gateway. A free one by default. */
  readonly port?: number;
  /** Number of gateways. 1 by default. */
  readonly gateways?: number;
  /** Environment variables besides the PATH and HOME of this process, e.g. provider keys. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Running node, which was ready when it was returned. */
export interface TestNode {
  readonly home: string;
  /** Address of the first gateway. */
  readonly url: string;
  /** Addresses of all gateways, the first one first. */
  readonly urls: readonly string[];
  readonly port: number;
  /** Time from the start of the command until it reported that the node is ready. */
  readonly startMs: number;
  /** Process id of the command that runs the node. */
  readonly supervisorPid: number;
  /** Output of that command so far. */
  stdout(): string;
  stderr(): string;
  /** Runs `routeplane <args>` on this node, within this process. */
  cli(args: readonly string[], options?: RunOptions): Promise<CommandResult>;
  /** Token of the root key that the first start saved. */
  apiKey(): Promise<string>;
  operatorKey(): Promise<string>;
  /** Log of a process, since the home was created. */
  log(role: string): Promise<string>;
  /** Process id, from the pid file; undefined if there is none. */
  readonly pid: (role: string) => Promise<number | undefined>;
  /** Kills a process with SIGKILL, and waits until the supervisor has started another in its place. */
  kill(role: string): Promise<void>;
  /** Runs `work` while the process of a role is suspended (SIGSTOP): it accepts connections and answers nothing. */
  whileSuspended(role: string, work: () => Promise<void>): Promise<void>;
  /** Runs `work` while the process of a role is killed and not started again: connections to it are refused. */
  whileDown(role: string, work: () => Promise<void>): Promise<void>;
  /** Resolves once every gateway reports that it can serve requests. */
  healthy(): Promise<void>;
  /** Stops the node as Ctrl-C does, or with another signal. The home is kept. */
  stop(signal?: NodeJS.Signals): Promise<CommandResult>;
  /** Stops the node and removes its home. */
  remove(): Promise<void>;
}

const START_TIMEOUT_MS = 150_000;

/** Creates an empty folder for a node, with mode 0700. */
export function newHome(): Promise<string> {
  return mkdtemp(join(tmpdir(), `routeplane-test-${process.pid}-home-`));
}

async function migratedHome(): Promise<string> {
  const home = await newHome();
  await copyMigratedHome(home);
  return home;
}

/** Starts a node. @throws Error with the output of the command if the node does not become ready */
export async function startNode(options: StartOptions = {}): Promise<TestNode> {
  const { gateways = 1, environment = {} } = options;
  const home = options.home ?? (await migratedHome());
  const reserved = await reservePorts(gateways, true);
  const port = options.port ?? reserved.ports[0] ?? 0;
  const startedAt = performance.now();
  const args = gateways === 1 ? [] : ["--gateways", `${gateways}`];
  const command = runUp(home, args, { environment: { ROUTEPLANE_PORT: `${port}`, ...environment } });
  const isReady = (): boolean => command.stdout().includes("Routeplane is ready");
  await Promise.race([eventually(isReady, START_TIMEOUT_MS), command.ended]).catch(() => {});
  if (!isReady()) {
    command.child.kill("SIGKILL");
    throw new Error(`the node did not become ready:\n${command.stderr()}\n${command.stdout()}`);
  }
  const startMs = performance.now() - startedAt;

  return testNode({ home, port, gateways, startMs, command, reserved });
}

interface Started {
  readonly home: string;
  readonly port: number;
  readonly gateways: number;
  readonly startMs: number;
  readonly command: RunningCommand;
  readonly reserved: ReservedPorts;
}

function testNode({ home, port, gateways, startMs, command, reserved }: Started): TestNode {
  const pid = (role: string): Promise<number | undefined> => pidOnFile(join(home, "run", `${role}.pid`));
  const urls = Array.from({ length: gateways }, (_, index) => `http://127.0.0.1:${port + index}`);
  const stop = (signal: NodeJS.Signals = "SIGINT"): Promise<CommandResult> => {
    command.child.kill(signal);
    return command.ended;
  };
  return {
    home,
    url: `http://127.0.0.1:${port}`,
    urls,
    port,
    startMs,
    supervisorPid: command.child.pid ?? 0,
    stdout: command.stdout,
    stderr: command.stderr,
    cli: (args, options) => runCli(home, args, options),
    apiKey: () => savedToken(home, "api-key"),
    operatorKey: () => savedToken(home, "operator-key"),
    log: (role) => readFile(join(home, "log", `${role}.log`), "utf8"),
    pid,
    kill: (role) => killAndAwaitRestart(role, pid),
    async whileSuspended(role, work) {
      const suspended = await pid(role);
      if (suspended === undefined) throw new Error(`${role} does not run`);
      suspendProcess(suspended);
      try {
        await work();
      } finally {
        process.kill(suspended, "SIGCONT");
      }
    },
    async whileDown(role, work) {
      const killed = await pid(role);
      if (killed === undefined) throw new Error(`${role} does not run`);
      const supervisor = await parentOf(killed);
      suspendProcess(supervisor);
      try {
        process.kill(killed, "SIGKILL");
        await work();
      } finally {
        process.kill(supervisor, "SIGCONT");
      }
      await awaitRestart(role, killed, pid);
    },
    async healthy() {
      for (const url of urls) await eventually(() => isHealthy(`${url}/healthz`));
    },
    stop,
    async remove() {
      await stop();
      reserved.release();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Token that the first start of a node has saved. @throws Error if there is none */
export async function savedToken(home: string, file: SavedFile): Promise<string> {
  const text = await readSaved(home, file);
  if (text === undefined) throw new Error(`the node has saved no ${file}`);
  return text;
}

async function pidOnFile(path: string): Promise<number | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  return text === undefined ? undefined : Number(text);
}

async function killAndAwaitRestart(role: string, pid: TestNode["pid"]): Promise<void> {
  const before = await pid(role);
  if (before === undefined) throw new Error(`${role} does not run`);
  process.kill(before, "SIGKILL");
  await awaitRestart(role, before, pid);
}

/** Resolves once the supervisor has started another process in the place of a killed one. */
async function awaitRestart(role: string, killed: number, pid: TestNode["pid"]): Promise<void> {
  await eventually(async () => {
    const now = await pid(role);
    return now !== undefined && now !== killed && isAlive(now);
  });
}

async function isHealthy(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url} answers ${response.status}: ${text}`);
  return true;
}
