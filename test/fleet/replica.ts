import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createClient } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import { ServiceConnection, serviceTransport } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";

/** Roles that a fleet runs, in the order in which they start. */
export const FLEET_ROLES = ["auth", "policy", "usage", "aggregator", "gateway", "console"] as const;
export type FleetRole = (typeof FLEET_ROLES)[number];

/** One process of a role, at an address of its own. */
export interface Replica {
  readonly role: FleetRole;
  readonly address: string;
  /** Port of its probes and metrics. */
  readonly operationsPort: number;
  readonly pid: number;
  readonly isRunning: boolean;
  /** Output so far, of both streams. */
  output(): string;
  /** CPU time that it has used, in seconds. */
  cpuSeconds(): Promise<number>;
  /** Number of calls that it has answered, except health checks. */
  calls(): Promise<number>;
  /** Suspends the process: its connections stay, and the kernel accepts new ones. */
  freeze(): void;
  resume(): void;
  /** Ends it with SIGKILL. */
  kill(): Promise<void>;
  /** Ends it with SIGTERM, as Kubernetes does. Resolves to its exit code; null if it was killed after 30 s. */
  stop(): Promise<number | null>;
}

const STOP_TIMEOUT_MS = 30_000;
const START_TIMEOUT_MS = 60_000;
/** Clock ticks in a second: USER_HZ of Linux. */
const TICKS = 100;

export interface ReplicaOptions {
  readonly role: FleetRole;
  readonly address: string;
  readonly operationsPort: number;
  /** Executable and arguments of the process. */
  readonly command: readonly [string, string[]];
  readonly environment: Readonly<Record<string, string>>;
}

/** A sample of the metric of calls, with its method and value. */
const CALLS = /^routeplane_rpc_calls_total\{[^}]*method="([^"]*)"[^}]*\} (\d+)/gm;

export function startReplica({ role, address, operationsPort, command, environment }: ReplicaOptions): Replica {
  const [executable, args] = command;
  const child = spawn(executable, args, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const pid = child.pid ?? 0;
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (hasEnded(child)) return child.exitCode;
    const exited = once(child, "exit");
    child.kill(signal);
    // A process that is suspended ends only once it runs again.
    child.kill("SIGCONT");
    const killer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(killer);
    return child.exitCode;
  };
  return {
    role,
    address,
    operationsPort,
    pid,
    get isRunning() {
      return !hasEnded(child);
    },
    output: () => output,
    async cpuSeconds() {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return (Number(fields[11]) + Number(fields[12])) / TICKS;
    },
    async calls() {
      const response = await fetch(`http://${address}:${operationsPort}/metrics`);
      const samples = [...(await response.text()).matchAll(CALLS)];
      return samples.reduce((sum, [, method, count]) => sum + (method?.startsWith("Health/") ? 0 : Number(count)), 0);
    },
    freeze: () => void child.kill("SIGSTOP"),
    resume: () => void child.kill("SIGCONT"),
    async kill() {
      await end("SIGKILL");
    },
    stop: () => end("SIGTERM"),
  };
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** Resolves once a process is ready. @throws Error with its output if that takes too long */
export async function ready(replica: Replica, port: number): Promise<void> {
  const { role, address, operationsPort } = replica;
  const answers = async (url: string): Promise<boolean> =>
    (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok;
  const url = `http://${address}:${port}`;
  const connection = new ServiceConnection({ url });
  const health = createClient(Health, serviceTransport({ url, connection, timeoutMs: 1_000 }));
  // Readiness of releases without an operations port.
  const isServing = async (): Promise<boolean> =>
    role === "gateway" ? answers(`${url}/healthz`) : (await health.check({})).status === Status.SERVING;
  try {
    await eventually(() => answers(`http://${address}:${operationsPort}/readyz`).catch(isServing), START_TIMEOUT_MS);
  } catch (cause) {
    throw new Error(`${role} did not become ready: ${replica.output()}`, { cause });
  } finally {
    connection.stop();
  }
}
