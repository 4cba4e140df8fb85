import { connect } from "node:tls";
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { VerificationService } from "@routeplane/contracts/auth";
import { createAuthority, eventually } from "@routeplane/testing";
import { expect } from "vitest";
import { askConsole, type ConsoleAddress, signInAt } from "../fleet/console-client.ts";
import { acceptedCallers, CALLERS, newConsoleKey, newServiceToken, type NodeOfFiles, ROLES } from "./node-of-files.ts";
import { databasePasswords, databaseRoles } from "./database-rotations.ts";
import { changesOf, type Rotation } from "./rotation.ts";
import { newSecret } from "./secret-volume.ts";

/** Time for which the former token of an operator credential may still read. */
const GRACE_SECONDS = 10;

/** Credentials that the load uses at the gateway. */
export interface LoadCredentials {
  operatorToken: string;
  /** Cookie of a session at the consoles. */
  cookie: string;
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
    consoleKeys(node, load),
    operatorCredential(node, load),
  ];
}

function serviceTokens(node: NodeOfFiles): Rotation {
  const services = ["auth", "policy", "usage"] as const;
  const callers = ["gateway", "policy", "usage", "console"] as const;
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
      await eventually(async () => users.every(({ output }) => output().includes("connected to NATS with the new")));
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
      for (const { output } of node.processes) expect(output()).not.toMatch(/connection to NATS lost/);
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
        if (role === "gateway" || role === "console") continue;
        const shake = (ca: string, shown: { cert: string; key: string }) =>
          handshake({ host: address, port: node.port, ca, ...shown });
        await shake(next.ca, node.issue(next));
        await expect(shake(former.ca, node.issue(next))).rejects.toThrow();
        await expect(shake(next.ca, node.issue(former))).rejects.toThrow();
      }
    },
  };
}

/** Connects and waits for the first byte of the server: it refuses a client's certificate only after the client's part of the handshake. */
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

/** Keys of session cookies. A session sealed with the former key continues until that key is retired; then the user signs in again. */
function consoleKeys(node: NodeOfFiles, load: LoadCredentials): Rotation {
  const former = node.secretsOf("console")["ROUTEPLANE_CONSOLE_KEYS"] ?? "";
  const next = newConsoleKey("k2");
  const sealedByFormer = load.cookie;
  const set = (all: string) => node.replace({ console: { ROUTEPLANE_CONSOLE_KEYS: all } });
  const statusOf = async (at: ConsoleAddress, cookie: string) =>
    (await askConsole(at, "GET", "/session", { cookie })).status;
  return {
    name: "keys of session cookies",
    // Every process must open what the new one seals before any of them seals with it.
    admit: () => set(`${former},${next}`),
    async use() {
      await set(`${next},${former}`);
      for (const each of node.consoles) expect(await statusOf(each, sealedByFormer)).toBe(200);
      const [first = { address: "", port: 0 }] = node.consoles;
      load.cookie = await signInAt(first, node.apiKey);
      expect(load.cookie).toContain("=k2.");
    },
    retire: () => set(next),
    async prove() {
      for (const each of node.consoles) {
        expect([await statusOf(each, sealedByFormer), await statusOf(each, load.cookie)]).toEqual([401, 200]);
      }
    },
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
