/** Where text for people goes: `process.stdout` and `process.stderr` fit. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

export interface NodeOptions {
  /** Where the node keeps its state; see `nodeHome`. */
  readonly home: string;
  /** Of the first gateway; the others take the ports after it. */
  readonly port: number;
  /** How many gateways; at least 1. */
  readonly gateways: number;
  /** The caller's environment: the gateway inherits it (provider keys), the other processes a few harmless variables. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What to do next, once the node is ready. */
  readonly stdout: Output;
  /** Progress and problems. */
  readonly stderr: Output;
}

/**
 * Runs a node in the foreground until SIGINT, SIGTERM or SIGHUP: prints progress, then what to do next.
 *
 * @returns exit code: 0 after a clean stop, 1 if the node could not start (the reason is on `stderr` by then)
 */
export async function runNode(options: NodeOptions): Promise<number> {
  options.stderr.write("routeplane: the node cannot be started yet\n");
  return 1;
}
