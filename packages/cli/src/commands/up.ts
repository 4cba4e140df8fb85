import type { Command } from "commander";
import { gatewaysArgument, portArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { ExitCode, usageError } from "../errors.ts";
import { withExamples } from "./examples.ts";

const DEFAULT_PORT = 8080;
const MAX_PORT = 65_535;

interface UpOptions {
  readonly port?: number;
  readonly gateways: number;
  readonly verbose?: boolean;
}

export function defineUp(up: Command, context: Context): void {
  up.option("--port <number>", `Port of the gateway (default: ROUTEPLANE_PORT, else ${DEFAULT_PORT})`, portArgument)
    .option("--gateways <number>", "Number of gateways, on this port and those after it", gatewaysArgument, 1)
    .option("--verbose", "Print the gRPC ports of the services too")
    .addHelpText("after", "\nCtrl-C stops the node and keeps its data.")
    .action((options: UpOptions) => runUp(context, options));
  withExamples(up, "up", "up --port 9000 --gateways 2");
}

async function runUp(context: Context, { port, gateways, verbose = false }: UpOptions): Promise<void> {
  const { settings, output, stdout, stderr } = context;
  const firstPort = port ?? portFromEnvironment(settings.port);
  if (firstPort + gateways - 1 > MAX_PORT) {
    throw usageError(
      `${gateways} gateways from port ${firstPort} on need ports beyond ${MAX_PORT}: give a lower --port or fewer --gateways`,
    );
  }
  // Unlike other commands, a node goes on when nobody reads its output.
  stdout.removeAllListeners("error").on("error", () => {});
  // Imported here, so that no other command loads the code that runs a node.
  const { runNode } = await import("@routeplane/standalone");
  const exitCode = await runNode({
    home: settings.home,
    port: firstPort,
    gateways,
    isVerbose: verbose,
    environment: settings.environment,
    // Progress is for people, not for a reader of JSON.
    stdout: output.json ? stderr : stdout,
    stderr,
  });
  context.setExitCode(exitCode === 0 ? ExitCode.ok : ExitCode.failed);
}

function portFromEnvironment(text: string | undefined): number {
  if (text === undefined) return DEFAULT_PORT;
  try {
    return portArgument(text);
  } catch (error) {
    throw usageError(
      `ROUTEPLANE_PORT is ${JSON.stringify(text)}. ${error instanceof Error ? error.message : ""}`.trim(),
    );
  }
}
