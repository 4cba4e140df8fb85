import { closeSync, existsSync, openSync } from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import { removeAddresses } from "./addresses.ts";
import { describeFailure } from "./start-failure.ts";
import { CHECKOUT, type HomeLayout, nodeHome } from "./home.ts";
import { endOrphanedProcesses, findOrphanedProcesses } from "./orphaned-processes.ts";
import { lockHome } from "./lock.ts";
import { nextSteps } from "./next-steps.ts";
import { assertPortsFree } from "./ports.ts";
import { assertComplete, clearRun, prepareHome } from "./prepare-home.ts";
import { type Output, type Progress, showProgress } from "./progress.ts";
import { urlOf } from "./roles.ts";
import { signInUrl } from "./sign-in-url.ts";
import { startNode } from "./start-node.ts";

export interface NodeOptions {
  /** Folder in which the node keeps its state; see `nodeHome`. */
  readonly home: string;
  /** Port of the first gateway. The others have the ports after it. */
  readonly port: number;
  /** Number of gateways, at least 1. */
  readonly gateways: number;
  /** True to print the gRPC ports of the services as well. */
  readonly isVerbose: boolean;
  /** Environment of the caller. The gateways inherit all of it (provider keys), the other processes a few harmless variables. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Destination of the addresses and first commands, once the node is ready. */
  readonly stdout: Output;
  /** Destination of progress and failures. */
  readonly stderr: Output;
}

const STOP_SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Runs a node in the foreground until SIGINT or SIGTERM, or until its terminal is closed: prints progress, then what to do next.
 * SIGHUP from elsewhere makes the gateways load their providers again.
 *
 * @returns exit code: 0 after a clean stop, 1 if the node could not start, with the reason on `stderr`
 */
export async function runNode(options: NodeOptions): Promise<number> {
  const stop = new AbortController();
  const requestStop = (): void => stop.abort();
  for (const signal of STOP_SIGNALS) process.on(signal, requestStop);
  const reload = new ReloadRequest();
  const hadTerminal = hasTerminal();
  const onHangUp = (): void => {
    if (hadTerminal && !hasTerminal()) requestStop();
    else reload.make();
  };
  process.on("SIGHUP", onHangUp);
  const progress = showProgress(options.stderr);
  try {
    await runUntilStopped(options, progress, stop.signal, reload);
    return 0;
  } catch (error) {
    if (stop.signal.aborted) return 0;
    progress.end();
    options.stderr.write(`\nrouteplane: ${await describeFailure(error)}\n`);
    return 1;
  } finally {
    progress.end();
    for (const signal of STOP_SIGNALS) process.off(signal, requestStop);
    process.off("SIGHUP", onHangUp);
  }
}

/** @throws the cause of a failed start, after stopping the processes that had been started */
async function runUntilStopped(
  options: NodeOptions,
  progress: Progress,
  stop: AbortSignal,
  reload: ReloadRequest,
): Promise<void> {
  const startedAt = performance.now();
  const gatewayPorts = Array.from({ length: options.gateways }, (_, index) => options.port + index);
  const layout = await prepareHome(options.home);
  const lock = await lockHome(layout.home);
  try {
    await assertComplete(layout);
    await clearPreviousRun(layout, progress);
    await assertPortsFree(gatewayPorts);
    progress.say(`Starting Routeplane in ${layout.home}`);
    const start = { layout, gatewayPorts, environment: options.environment, progress, stop };
    const { addresses, processes } = await startNode(start);
    reload.passTo(() => {
      progress.say("SIGHUP: the gateways load their providers again");
      processes.reloadProviders();
    });
    try {
      const startMs = performance.now() - startedAt;
      const { console: port, services } = addresses;
      const signIn = port === undefined ? undefined : await signInUrl(layout.home, urlOf(port), urlOf(services.auth));
      const { isVerbose } = options;
      const isSignedIn = existsSync(join(layout.home, "api-key"));
      const home = homeOf(options, layout);
      const ready = { gatewayPorts, addresses, isSignedIn, signInUrl: signIn, startMs, isVerbose };
      options.stdout.write(nextSteps({ ...home, ...ready }));
      if (!stop.aborted) await once(stop, "abort");
    } finally {
      await progress.step("stop", () => processes.stop());
      await removeAddresses(layout);
    }
  } finally {
    lock.release();
  }
}

/** Request to load the providers again. A request during the start is passed on afterwards. */
class ReloadRequest {
  #isMade = false;
  #pass: (() => void) | undefined;

  make(): void {
    this.#isMade = true;
    this.#pass?.();
  }

  passTo(pass: () => void): void {
    this.#pass = pass;
    if (this.#isMade) pass();
  }
}

/** True if this process has a controlling terminal. A terminal that closes sends SIGHUP, and no longer counts. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}

function homeOf({ environment }: NodeOptions, { home }: HomeLayout) {
  return { home, isDefaultHome: !environment["ROUTEPLANE_HOME"] && home === nodeHome({}), folder: CHECKOUT };
}

/** Ends orphaned processes and clears `run/`, in case the previous supervisor was killed before it could. */
async function clearPreviousRun(layout: HomeLayout, progress: Progress): Promise<void> {
  const orphans = await findOrphanedProcesses(layout.home);
  if (orphans.length > 0) {
    const names = orphans.map(({ role, pid }) => `${role} (process ${pid})`).join(", ");
    await progress.step(`ending orphaned processes: ${names}`, () => endOrphanedProcesses(layout.home, orphans));
  }
  await clearRun(layout.run);
}
