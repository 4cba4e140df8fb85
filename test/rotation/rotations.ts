import { connect } from "node:tls";
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { VerificationService } from "@routeplane/contracts/auth";
import { createAuthority, eventually } from "@routeplane/testing";
import { expect } from "vitest";
import {
  acceptedCallers,
  CALLERS,
  createLogin,
  DATABASE_ROLES,
  newSecret,
  newServiceToken,
  type NodeOfFiles,
  ROLES,
  type SecretChanges,
} from "./node-of-files.ts";

/** Rotation of one kind of secret. Requests are sent all the while, and none may fail. */
export interface Rotation {
  readonly name: string;
  /** Makes the new secret valid beside the former one. */
  admit(): Promise<void>;
  /** Has every process use the new one. */
  use(): Promise<void>;
  /** Ends the former one, once nothing uses it. */
  retire(): Promise<void>;
  /** Expects that the former one is refused. */
  prove(): Promise<void>;
}

/** Time for which the former token of an operator credential may still read. */
const GRACE_SECONDS = 10;

/** Credentials that the load uses at the gateway. */
export interface LoadCredentials {
  operatorToken: string;
}

export function rotationsOf(node: NodeOfFiles, load: LoadCredentials): readonly Rotation[] {
  return [
    serviceTokens(node),
    databaseRoles(node),
    databasePasswords(node),
    natsUsers(node),
    providerKey(node),
    certificates(node),
    peppers(node),
    operatorCredential(node, load),
  ];
}

/** The same change for several roles. */
function changesOf(
  roles: readonly (typeof ROLES)[number][],
  of: (role: (typeof ROLES)[number]) => Record<string, string>,
) {
  return Object.fromEntries(roles.map((role) => [role, of(role)])) as SecretChanges;
}

function serviceTokens(node: NodeOfFiles): Rotation {
  const services = ["auth", "policy", "usage"] as const;
  const callers = ["gateway", "policy", "usage"] as const;
  const tokens = Object.fromEntries(CALLERS.map((caller) => [caller, newServiceToken()]));
  const accept = (accepted: string) =>
    node.replace(changesOf(services, () => ({ ROUTEPLANE_SERVICE_CREDENTIALS: accepted })));
  const former = node.secretsOf("gateway")["ROUTEPLANE_SERVICE_TOKEN"] ?? "";
  return {
    name: "service tokens",
    admit: () => accept(`${node.secretsOf("auth")["ROUTEPLANE_SERVICE_CREDENTIALS"]},${acceptedCallers(tokens)}`),
    use: () => node.replace(changesOf(callers, (role) => ({ ROUTEPLANE_SERVICE_TOKEN: tokens[role] ?? "" }))),
    retire: () => accept(acceptedCallers(tokens)),
    async prove() {
      const verify = (token: string) =>
        createClient(VerificationService, node.transport("auth", token)).verifyKey({
          token: node.apiKey,
        });
      await expect(verify(former)).rejects.toThrow("refuses the service credential");
      await verify(tokens["gateway"] ?? "");
    },
  };
}

/** Names of the logins, and backends, that are connected to the database of the node. */
async function connectionsOf(
  { admin, loginPrefix }: NodeOfFiles,
  column: "usename" | "pid",
): Promise<readonly string[]> {
  const { rows } = await admin.query<{ value: string }>(
    `select distinct ${column}::text as value from pg_stat_activity where usename like $1`,
    [`${loginPrefix}%`],
  );
  return rows.map(({ value }) => value);
}

function databaseUrlOf(
  node: NodeOfFiles,
  role: (typeof DATABASE_ROLES)[number],
  user?: string,
  password?: string,
): string {
  const url = new URL(node.secretsOf(role)["ROUTEPLANE_DATABASE_URL"] ?? "");
  if (user !== undefined) url.username = user;
  if (password !== undefined) url.password = password;
  return url.href;
}

function databaseRoles(node: NodeOfFiles): Rotation {
  const passwords = new Map(DATABASE_ROLES.map((role) => [role, newSecret()]));
  const former = DATABASE_ROLES.map((role) => `${node.loginPrefix}_${role}`);
  return {
    name: "roles of the database",
    async admit() {
      for (const [role, password] of passwords)
        await createLogin(
          node.admin,
          node.database.name,
          `${node.loginPrefix}_${role}_2`,
          `routeplane_${role}`,
          password,
        );
    },
    use: () =>
      node.replace(
        changesOf(DATABASE_ROLES, (role) => {
          const own = DATABASE_ROLES.find((each) => each === role) ?? "auth";
          return {
            ROUTEPLANE_DATABASE_URL: databaseUrlOf(node, own, `${node.loginPrefix}_${role}_2`, passwords.get(own)),
          };
        }),
      ),
    async retire() {
      await eventually(async () => (await connectionsOf(node, "usename")).every((name) => !former.includes(name)));
      for (const role of former) await node.admin.query(`drop owned by ${role}; drop role ${role}`);
    },
    async prove() {
      expect((await connectionsOf(node, "usename")).toSorted()).toEqual(former.map((role) => `${role}_2`).toSorted());
    },
  };
}

function databasePasswords(node: NodeOfFiles): Rotation {
  const passwords = new Map(DATABASE_ROLES.map((role) => [role, newSecret()]));
  let before: readonly string[] = [];
  return {
    name: "passwords of the database",
    // The file first: the former password stays in use until the server accepts the new one.
    async admit() {
      before = await connectionsOf(node, "pid");
      await node.replace(
        changesOf(DATABASE_ROLES, (role) => {
          const own = DATABASE_ROLES.find((each) => each === role) ?? "auth";
          return { ROUTEPLANE_DATABASE_URL: databaseUrlOf(node, own, undefined, passwords.get(own)) };
        }),
      );
    },
    async use() {
      for (const [role, password] of passwords) {
        const { username } = new URL(databaseUrlOf(node, role));
        await node.admin.query(`alter role ${username} password '${password}'`);
      }
    },
    async retire() {
      await eventually(async () => (await connectionsOf(node, "pid")).every((pid) => !before.includes(pid)));
    },
    prove: async () => {},
  };
}

function natsUsers(node: NodeOfFiles): Rotation {
  const roles = ["gateway", "aggregator"] as const;
  const passwords = new Map<string, string>(roles.map((role) => [role, newSecret()]));
  const former = new Map<string, string>();
  const start = (user: string): string => `{ user: ${user}, password: `;
  return {
    name: "users of NATS",
    admit: () =>
      node.nats.reconfigure((text) => {
        let edited = text;
        for (const role of roles) {
          const from = text.indexOf(start(role));
          const user = text.slice(from, text.indexOf("} }", from) + 3);
          former.set(role, user);
          const second = user
            .replace(/user: \w+, password: "[^"]*"/, `user: ${role}_2, password: "${passwords.get(role)}"`)
            .replaceAll(`_INBOX.${role}.`, `_INBOX.${role}_2.`);
          edited = edited.replace(user, () => `${user}\n    ${second}`);
        }
        return edited;
      }),
    async use() {
      await node.replace(
        changesOf(roles, (role) => {
          const url = new URL(node.secretsOf(role)["ROUTEPLANE_NATS_URL"] ?? "");
          [url.username, url.password] = [`${role}_2`, passwords.get(role) ?? ""];
          return { ROUTEPLANE_NATS_URL: url.href };
        }),
      );
      const users = node.processes.filter(({ role }) => role === "gateway" || role === "aggregator");
      await eventually(async () => users.every(({ output }) => output().includes("connected to nats with the new")));
    },
    async retire() {
      // Sessions of the former user are closed 3 s after they were replaced.
      await delay(3_500);
      await node.nats.reconfigure((text) => {
        let edited = text;
        for (const user of former.values()) edited = edited.replace(user, "");
        return edited;
      });
    },
    async prove() {
      for (const { output } of node.processes) expect(output()).not.toMatch(/lost the connection to nats/);
    },
  };
}

function providerKey(node: NodeOfFiles): Rotation {
  const { keys, requests } = node.upstream;
  const [former = ""] = keys;
  const next = `sk-${newSecret()}`;
  const isFormer = (index: number): boolean => requests[index]?.headers.authorization === `Bearer ${former}`;
  return {
    name: "keys of providers",
    admit: async () => void keys.add(next),
    async use() {
      await node.replace({ gateway: { ROTATED_KEY: next } });
      // Requests that began before have their answers.
      let last = requests.length;
      await eventually(async () => {
        const since = requests.slice(last).map((_, index) => isFormer(last + index));
        if (since.includes(true)) last = requests.length;
        return since.length >= 10 && !since.includes(true);
      });
    },
    retire: async () => void keys.delete(former),
    prove: async () => expect([...keys]).toEqual([next]),
  };
}

function certificates(node: NodeOfFiles): Rotation {
  const former = node.authority;
  const next = createAuthority();
  const trust = (ca: string) => node.replace(changesOf(ROLES, () => ({ ROUTEPLANE_TLS_CA: ca })));
  return {
    name: "certificates and their authority",
    admit: () => trust(`${former.ca}${next.ca}`),
    use: () =>
      node.replace(
        changesOf(ROLES, () => {
          const { cert, key } = node.issue(next);
          return { ROUTEPLANE_TLS_CERT: cert, ROUTEPLANE_TLS_KEY: key };
        }),
      ),
    async retire() {
      await trust(next.ca);
      node.authority = next;
    },
    async prove() {
      for (const { role, address } of node.processes) {
        if (role === "gateway") continue;
        const shake = (ca: string, shown: { cert: string; key: string }) =>
          handshake({ host: address, port: node.port, ca, ...shown });
        await shake(next.ca, node.issue(next));
        await expect(shake(former.ca, node.issue(next))).rejects.toThrow();
        await expect(shake(next.ca, node.issue(former))).rejects.toThrow();
      }
    },
  };
}

/** Connects and waits for the first byte of the server: it refuses the certificate of a client after the client is done. */
async function handshake(options: {
  host: string;
  port: number;
  ca: string;
  cert: string;
  key: string;
}): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ ...options, ALPNProtocols: ["h2"] });
  socket
    .on("error", reject)
    .on("close", () => reject(new Error("closed")))
    .on("data", () => resolve());
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0");
  try {
    await promise;
  } finally {
    socket.destroy();
  }
}

function peppers(node: NodeOfFiles): Rotation {
  const former = node.secretsOf("auth")["ROUTEPLANE_KEY_PEPPERS"] ?? "";
  const next = `p2:${newSecret()}${newSecret()}`;
  const set = (all: string) => node.replace({ auth: { ROUTEPLANE_KEY_PEPPERS: all } });
  return {
    name: "peppers",
    // Every process must know the new one before any of them hashes with it.
    admit: () => set(`${former},${next}`),
    use: () => set(`${next},${former}`),
    retire: async () => {},
    prove: async () => {},
  };
}

function operatorCredential(node: NodeOfFiles, load: LoadCredentials): Rotation {
  const former = load.operatorToken;
  const call = async (method: string, token: string, body: object) => {
    const response = await fetch(`${node.gatewayUrls[0]}/routeplane.auth.v1.${method}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${method}: ${response.status}`);
    return (await response.json()) as Record<string, unknown>;
  };
  let next = "";
  return {
    name: "operator credential",
    async admit() {
      const { operators } = await call("OperatorService/ListOperators", former, {});
      const [first] = operators as { id: string }[];
      const rotated = await call("OperatorService/RotateOperator", former, {
        id: first?.id,
        grace: `${GRACE_SECONDS}s`,
      });
      next = String(rotated["token"]);
    },
    use: async () => void (load.operatorToken = next),
    // The former token ends by itself.
    retire: async () => {},
    async prove() {
      const isRefused = (token: string) =>
        call("IdentityService/WhoAmI", token, {}).then(
          () => false,
          () => true,
        );
      await eventually(() => isRefused(former), (GRACE_SECONDS + 10) * 1_000);
      expect(await isRefused(next)).toBe(false);
    },
  };
}
