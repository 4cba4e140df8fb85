import { provision } from "@routeplane/postgres";
import {
  type Addresses,
  chooseAddresses,
  portsOf,
  removeAddresses,
  type Service,
  writeAddresses,
} from "./addresses.ts";
import { describeFailure, logSize, StartFailure } from "./start-failure.ts";
import { createNodeProcesses, type NodeProcesses, logFile } from "./node-processes.ts";
import { type Gateway, gatewaysOf } from "./gateways.ts";
import type { HomeLayout } from "./home.ts";
import { supervisionMark } from "./orphaned-processes.ts";
import { describeEnding, runCommand } from "./process/command.ts";
import type { Progress } from "./progress.ts";
import { prepareConsoleApp } from "./console-app.ts";
import { commonVariables, consoleSpec, gatewaySpec, isSchemaMigrated, MIGRATED, migrationCommand } from "./roles.ts";
import { type RoleOptions, serviceSpec, urlOf } from "./roles.ts";
import { prepareServiceProgram } from "./service-bundle.ts";
import { writeSaved } from "./saved-files.ts";
import { loadSecrets, planOf } from "./secrets.ts";
import { seed } from "./seed.ts";
import { natsBinary } from "./servers/nats-binary.ts";
import { prepareNats } from "./servers/nats.ts";
import { preparePostgres, superuserUrl } from "./servers/postgres.ts";

export interface StartOptions {
  readonly layout: HomeLayout;
  readonly gatewayPorts: readonly number[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly progress: Progress;
  /** Cancels the start. */
  readonly stop: AbortSignal;
}

/** Context of a start, which every step gets. */
interface Start extends StartOptions {
  /** Options of all roles, except their program, which is made in parallel with the first steps. */
  readonly roles: Omit<RoleOptions, "program">;
  readonly gateways: readonly Gateway[];
  readonly processes: NodeProcesses;
  /** Aborted when a step fails or the start is cancelled. */
  readonly signal: AbortSignal;
}

/**
 * Starts all processes, each as soon as those that it needs are ready, and seeds a new node.
 *
 * @throws the cause of a failed start, after stopping the processes that had been started
 */
export async function startNode(options: StartOptions): Promise<{ addresses: Addresses; processes: NodeProcesses }> {
  const { layout, environment, progress, stop, gatewayPorts } = options;
  const secrets = await loadSecrets(layout.secrets);
  const addresses = await chooseAddresses({ gatewayPorts, environment, say: progress.say });
  const gateways = await gatewaysOf(layout.spool, gatewayPorts, {
    innerPorts: portsOf(addresses),
    operationsPort: addresses.operations.gateway,
  });
  const mark = (role: string): Record<string, string> => supervisionMark(role, layout.home);
  const gatewayUrl = urlOf(gatewayPorts[0] ?? 0);
  const roles = { spool: layout.spool, run: layout.run, addresses, gatewayUrl, secrets, environment, mark };
  const failed = new AbortController();
  const signal = AbortSignal.any([stop, failed.signal]);
  const processes = createNodeProcesses(layout, progress.say, signal);
  // All are awaited, because an unhandled rejection of a step would end this process.
  const steps = [
    writeAddresses(layout, addresses, gateways),
    ...startSteps({ ...options, roles, gateways, processes, signal }),
  ];
  try {
    await Promise.all(steps);
    await writeSaved(layout.home, "url", gatewayUrl);
    return { addresses, processes };
  } catch (error) {
    failed.abort(error);
    progress.end();
    await processes.stop();
    // The other steps are cancelled too: their processes and files must not outlive this call.
    await Promise.allSettled(steps);
    await removeAddresses(layout);
    throw error;
  }
}

/** Begins all steps. Returns those on which no other depends; each settles after the steps that it depends on. */
function startSteps(start: Start): readonly Promise<unknown>[] {
  const { processes, progress } = start;
  const roles = prepareProgram(start);
  const run = (service: Service) => () =>
    progress.step(service, async () => processes.start(serviceSpec(service, await roles)));
  const database = startPostgres(start);
  const broker = startNats(start);
  const schemas = Object.fromEntries(
    MIGRATED.map((service) => [service, database.then(() => migrate(service, start, roles))]),
  ) as Record<(typeof MIGRATED)[number], Promise<void>>;
  const auth = schemas.auth.then(run("auth"));
  const gateways = start.gateways.map(async (gateway) => {
    const { role, isForSpool } = gateway;
    await broker;
    if (isForSpool) progress.say(`  ${role} runs too, to send what an earlier run left in its spool`);
    await progress.step(role, async () => processes.start(gatewaySpec(gateway, await roles)));
  });
  const seeded = auth.then(() => seedNode(start));
  const aggregator = Promise.all([schemas.usage, broker]).then(run("aggregator"));
  const consoleRole = runConsole(start, roles);
  const services = [consoleRole, schemas.policy.then(run("policy")), schemas.usage.then(run("usage")), aggregator];
  return [roles, seeded, ...services, ...gateways];
}

async function prepareProgram({ layout, roles, progress, signal, environment }: Start): Promise<RoleOptions> {
  const variables = commonVariables("bundle", { environment, mark: roles.mark });
  const log = logFile(layout, "bundle");
  const program = await prepareServiceProgram({ environment, variables, log, signal, say: progress.say });
  return { ...roles, program };
}

/** Runs the console, unless the node has none. If its app cannot be built, the node runs without it. */
async function runConsole(start: Start, complete: Promise<RoleOptions>): Promise<void> {
  const { layout, roles, processes, progress, signal, environment } = start;
  const port = roles.addresses.console;
  if (port === undefined) return;
  const variables = commonVariables("console-app", { environment, mark: roles.mark });
  const log = logFile(layout, "console-app");
  const options = { home: layout.home, environment, variables, log, signal, say: progress.say };
  const appFolder = await prepareConsoleApp(options).catch(async (error: unknown) => {
    if (signal.aborted) throw error;
    progress.say(`  the node runs without its console: ${await describeFailure(error)}`);
  });
  if (appFolder === undefined) return;
  await progress.step("console", async () => processes.start(consoleSpec(port, appFolder, await complete)));
}

async function startPostgres({ layout, roles, processes, progress, signal, environment }: Start): Promise<void> {
  const port = roles.addresses.postgres;
  const password = roles.secrets.superuserPassword;
  await progress.step("postgres", async () => {
    const variables = commonVariables("postgres", { environment, mark: roles.mark });
    const log = logFile(layout, "postgres");
    const options = { folder: layout.postgres, port, password, durable: true, log, signal, environment: variables };
    await processes.start(await preparePostgres({ ...options, say: progress.say }));
  });
  try {
    await provision(superuserUrl({ port, password }), planOf(roles.secrets), { replacePasswords: true });
  } catch (error) {
    const message = `the database could not be prepared: ${await describeFailure(error)}`;
    throw new StartFailure(message, logFile(layout, "postgres"));
  }
}

async function startNats({ layout, roles, processes, progress, signal, environment }: Start): Promise<void> {
  await progress.step("nats", async () => {
    const executable = await natsBinary({ environment, say: progress.say, signal });
    const port = roles.addresses.nats;
    const { natsPassword: password, natsPasswords: passwords } = roles.secrets;
    const variables = commonVariables("nats", { environment, mark: roles.mark });
    await processes.start(
      await prepareNats({ executable, folder: layout.nats, port, password, passwords, environment: variables }),
    );
  });
}

/** Migrates a schema by a process of its service, unless nothing is to be migrated: the three processes take a fifth of a start. */
async function migrate(
  service: (typeof MIGRATED)[number],
  { layout, roles, progress, signal }: Start,
  complete: Promise<RoleOptions>,
): Promise<void> {
  if (await isSchemaMigrated(service, roles)) return;
  await progress.step(`schema of ${service}`, async () => {
    const log = logFile(layout, `migrate-${service}`);
    const logStart = logSize(log);
    const ending = await runCommand(migrationCommand(service, await complete), log, signal);
    if (ending.code !== 0)
      throw new StartFailure(`the migrations of ${service} failed: it ${describeEnding(ending)}`, log, logStart);
  });
}

async function seedNode({ layout, roles, progress }: Start): Promise<void> {
  const { addresses, secrets } = roles;
  const isFirst = await seed(layout, urlOf(addresses.services.auth), secrets.serviceTokens.installer);
  if (isFirst)
    progress.say("  first start: created the account, the namespace default, an operator credential and a root key");
}
