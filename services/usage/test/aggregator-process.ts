import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { AGGREGATOR_NODE_OPTIONS } from "@routeplane/runtime";
import { compileCache } from "@routeplane/testing";

const ENTRY = fileURLToPath(new URL("../src/aggregator-main.ts", import.meta.url));

export interface AggregatorProcess {
  readonly pid: number;
  /** Returns the text that it wrote to stdout and stderr. */
  readonly output: () => string;
  /** Returns its exit code; null while it runs or if a signal ended it. */
  readonly exitCode: () => number | null;
  /** Kills it with SIGKILL. */
  kill(): Promise<void>;
  /** Sends SIGTERM. Resolves to the exit code. */
  stop(): Promise<number | null>;
}

/** Starts the aggregator as a process of its own. */
export function spawnAggregator(env: {
  readonly databaseUrl: string;
  readonly natsUrl: string;
  readonly port?: number;
  /** Number of partitions that it declares; the default if not given. */
  readonly partitions?: number;
}): AggregatorProcess {
  const child = spawn(process.execPath, [ENTRY], {
    env: {
      ...compileCache(),
      NODE_OPTIONS: AGGREGATOR_NODE_OPTIONS,
      ROUTEPLANE_PORT: String(env.port ?? 0),
      ROUTEPLANE_DATABASE_URL: env.databaseUrl,
      ROUTEPLANE_NATS_URL: env.natsUrl,
      ROUTEPLANE_METRICS_PORT: "0",
      ...(env.partitions === undefined ? {} : { ROUTEPLANE_NATS_PARTITIONS: String(env.partitions) }),
      // Test requests are of a fixed day.
      ROUTEPLANE_RETENTION_DAYS: "36500",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return {
    pid: child.pid ?? 0,
    output: () => output,
    exitCode: () => child.exitCode,
    kill: async () => void (await end(child, "SIGKILL")),
    stop: () => end(child, "SIGTERM"),
  };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }
  return child.exitCode;
}
