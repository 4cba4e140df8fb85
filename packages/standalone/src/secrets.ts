import { randomBytes } from "node:crypto";
import { formatServiceCredentials, mintServiceToken, type ServiceCaller } from "@routeplane/credentials";
import { databasePlan, type DatabasePlan } from "@routeplane/postgres";
import { StartFailure } from "./start-failure.ts";
import { readIfExists, writeAtomically } from "./saved-files.ts";
import type { NatsUser } from "./servers/nats-users.ts";

/** Passwords, service credentials and pepper of a node. They never leave the machine and are never printed. */
export interface NodeSecrets {
  /** Password of the superuser of the database. */
  readonly superuserPassword: string;
  /** Password of the NATS user `routeplane`, which has all permissions. For the operator; no process uses it. */
  readonly natsPassword: string;
  /** Passwords of the NATS users of the node's processes. */
  readonly natsPasswords: Readonly<Record<NatsUser, string>>;
  /** Credential of the operator's own services that call over gRPC (the internal caller `workload`). */
  readonly serviceToken: string;
  /** Credentials of the node's own processes. */
  readonly serviceTokens: Readonly<Record<NodeCaller, string>>;
  /** Pepper, `id:hex` as in ROUTEPLANE_KEY_PEPPERS. Without it no stored key can be verified. */
  readonly keyPeppers: string;
  /** Key of the console's session cookies, `id:base64url` as in ROUTEPLANE_CONSOLE_KEYS. */
  readonly consoleKeys: string;
  readonly databasePasswords: Readonly<Record<string, string>>;
}

export const DATABASE = "routeplane";

type NodeCaller = Exclude<ServiceCaller, "workload">;

/** Reads the secrets of a node. Creates and saves those that it does not have yet. */
export async function loadSecrets(path: string): Promise<NodeSecrets> {
  const saved = await readSecrets(path);
  const password = (): string => randomBytes(24).toString("hex");
  const plan = databasePlan(DATABASE, (role) => saved?.databasePasswords?.[role] ?? password());
  const secrets: NodeSecrets = {
    superuserPassword: saved?.superuserPassword ?? password(),
    natsPassword: saved?.natsPassword ?? password(),
    natsPasswords: {
      gateway: saved?.natsPasswords?.gateway ?? password(),
      aggregator: saved?.natsPasswords?.aggregator ?? password(),
    },
    serviceToken: saved?.serviceToken ?? mintServiceToken(),
    serviceTokens: {
      gateway: saved?.serviceTokens?.gateway ?? mintServiceToken(),
      policy: saved?.serviceTokens?.policy ?? mintServiceToken(),
      usage: saved?.serviceTokens?.usage ?? mintServiceToken(),
      console: saved?.serviceTokens?.console ?? mintServiceToken(),
      installer: saved?.serviceTokens?.installer ?? mintServiceToken(),
    },
    keyPeppers: saved?.keyPeppers ?? `p1:${randomBytes(32).toString("hex")}`,
    consoleKeys: saved?.consoleKeys ?? `c1:${randomBytes(32).toString("base64url")}`,
    databasePasswords: plan.passwords,
  };
  const text = `${JSON.stringify(secrets, undefined, 2)}\n`;
  if (JSON.stringify(saved) !== JSON.stringify(secrets)) await writeAtomically(path, text, 0o600);
  return secrets;
}

/** Value of ROUTEPLANE_SERVICE_CREDENTIALS: the internal callers and the hashes of their tokens. */
export function serviceCredentialsOf({ serviceToken, serviceTokens }: NodeSecrets): string {
  return formatServiceCredentials({ ...serviceTokens, workload: serviceToken });
}

/** Roles and passwords of the node's database. */
export function planOf({ databasePasswords }: NodeSecrets): DatabasePlan {
  return databasePlan(DATABASE, (role) => {
    const password = databasePasswords[role];
    if (password === undefined) throw new Error(`no password for the database role ${role}`);
    return password;
  });
}

async function readSecrets(path: string): Promise<Partial<NodeSecrets> | undefined> {
  const text = await readIfExists(path);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // The error of JSON.parse is dropped, because it would quote the secrets.
  }
  throw new StartFailure(`${path} is damaged: restore it from a backup, or remove the whole folder to start anew`);
}
