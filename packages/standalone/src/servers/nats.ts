import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import type { ProcessSpec } from "../process/supervise.ts";
import { writeAtomically } from "../saved-files.ts";
import { type NatsUser, natsUserConfig } from "./nats-users.ts";

export interface NatsOptions {
  readonly executable: string;
  /** Folder for configuration and streams; created if missing. */
  readonly folder: string;
  /** Port on 127.0.0.1. */
  readonly port: number;
  /** Password of the user `routeplane`, which has all permissions. */
  readonly password: string;
  /** Passwords of the users of the node's processes. */
  readonly passwords: Readonly<Record<NatsUser, string>>;
  readonly environment?: Readonly<Record<string, string>>;
}

const ADMIN = "routeplane";
const PROBE_TIMEOUT_MS = 1_000;

/** Writes the configuration, with JetStream and a user for each role. Returns how to run the server. */
export async function prepareNats(options: NatsOptions): Promise<ProcessSpec> {
  const { executable, folder, port, password, passwords, environment = {} } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const configuration = join(folder, "nats.conf");
  // Fields of nats-server 2.9 only: an unknown field keeps it from starting.
  const text = `host: "127.0.0.1"
port: ${port}
server_name: "routeplane"
max_payload: 1048576
authorization {
  users: [
    { user: ${ADMIN}, password: ${JSON.stringify(password)} }
    ${natsUserConfig("gateway", JSON.stringify(passwords.gateway))}
    ${natsUserConfig("aggregator", JSON.stringify(passwords.aggregator))}
  ]
}
jetstream { store_dir: ${JSON.stringify(folder)} }
`;
  await writeAtomically(configuration, text, 0o600);
  return {
    role: "nats",
    command: { executable, args: ["--config", configuration], environment, parentDeathSignal: "TERM" },
    isReady: () => sendsInfo(port),
    startTimeoutMs: 120_000,
    startRetries: 2,
    stopSignal: "SIGTERM",
    stopTimeoutMs: 5_000,
  };
}

/** URL for `user`; by default for the user `routeplane`, which has all permissions. */
export function natsUrl(options: Pick<NatsOptions, "port" | "password" | "passwords">, user?: NatsUser): string {
  const password = user === undefined ? options.password : options.passwords[user];
  return `nats://${user ?? ADMIN}:${encodeURIComponent(password)}@127.0.0.1:${options.port}`;
}

/** True if the server sends INFO on a connection, as it does once its streams are recovered. */
async function sendsInfo(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    const [data] = (await once(socket, "data", { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) })) as [Buffer];
    return data.toString("utf8").startsWith("INFO ");
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
