import { join } from "node:path";
import type { HomeLayout } from "./home.ts";
import { boundLog, LOG_BOUND } from "./log-size.ts";
import { describeEnding } from "./process/command.ts";
import { type ProcessSpec, supervise, type SupervisedProcess } from "./process/supervise.ts";

/** Processes of a node. */
export interface NodeProcesses {
  /** Starts a process and waits until it is ready. Its time limit begins when the roles that it needs are ready. */
  start(spec: ProcessSpec): Promise<void>;
  /** Makes the running gateways load their providers again. */
  reloadProviders(): void;
  /** Stops all processes, clients before the servers that they call. Nothing can be started any more. */
  stop(): Promise<void>;
}

const isGateway = (role: string): boolean => role.startsWith("gateway");

/** Groups of roles that stop together, in order. */
const STOP_ORDER: readonly ((role: string) => boolean)[] = [
  (role) => isGateway(role) || role === "console",
  (role) => !["nats", "postgres"].includes(role),
  (role) => role === "nats",
  (role) => role === "postgres",
];

export function createNodeProcesses(
  layout: HomeLayout,
  say: (text: string) => void,
  signal: AbortSignal,
  { maxBytes, everyMs } = LOG_BOUND,
): NodeProcesses {
  const members: SupervisedProcess[] = [];
  const checkLogs = (): void => {
    for (const { role } of members) void boundLog(logFile(layout, role), maxBytes);
  };
  const logTimer = setInterval(checkLogs, everyMs).unref();
  const readiness = new Map<string, PromiseWithResolvers<void>>();
  let isStopping = false;

  const readinessOf = (role: string): PromiseWithResolvers<void> => {
    const known = readiness.get(role) ?? Promise.withResolvers<void>();
    readiness.set(role, known);
    return known;
  };

  return {
    async start(spec) {
      signal.throwIfAborted();
      const { role } = spec;
      const log = logFile(layout, role);
      const member = supervise(spec, {
        log,
        pidFile: join(layout.run, `${role}.pid`),
        onDeath(ending, delayMs) {
          if (!isStopping) say(`${role} ${describeEnding(ending)}: starting it again in ${delayMs} ms (log: ${log})`);
        },
        onRestart: (pid) => say(`${role} is back (process ${pid})`),
      });
      members.push(member);
      const after = Promise.all((spec.needs ?? []).map((needed) => readinessOf(needed).promise));
      await member.started({ signal, after });
      readinessOf(role).resolve();
    },
    reloadProviders() {
      for (const member of members.filter(({ role }) => isGateway(role))) member.send("SIGHUP");
    },
    async stop() {
      isStopping = true;
      for (const isNext of STOP_ORDER) {
        await Promise.all(members.filter(({ role }) => isNext(role)).map((member) => member.stop()));
      }
      clearInterval(logTimer);
    },
  };
}

export function logFile(layout: HomeLayout, role: string): string {
  return join(layout.log, `${role}.log`);
}
