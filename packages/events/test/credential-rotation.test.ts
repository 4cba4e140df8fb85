import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect as connectSocket, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createLogger, readEnvironment } from "@routeplane/runtime";
import { createAuthority, eventually } from "@routeplane/testing";
import { nkeys, StorageType } from "nats";
import { expect, inject, it, onTestFinished } from "vitest";
import { readNatsAddress } from "../src/address.ts";
import { openConnection } from "../src/connection.ts";

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function isListening(port: number): Promise<boolean> {
  const socket = connectSocket(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } finally {
    socket.destroy();
  }
}

/** Starts a nats-server whose authorization can be replaced while it runs. */
async function startServer(authorization: string) {
  const folder = await mkdtemp(join(tmpdir(), "nats-rotation-"));
  const port = await freePort();
  const log = join(folder, "nats.log");
  const path = join(folder, "nats.conf");
  const configure = (text: string): Promise<void> =>
    writeFile(
      path,
      `host: "127.0.0.1"\nport: ${port}\njetstream { store_dir: ${JSON.stringify(folder)} }\nlog_file: ${JSON.stringify(log)}\n${text}\n`,
    );
  await configure(authorization);
  const child = spawn(inject("testServers").natsExecutable, ["--config", path], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  onTestFinished(async () => {
    if (child.exitCode === null) {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    await rm(folder, { recursive: true });
  });
  await eventually(() => isListening(port));
  return {
    folder,
    port,
    reconfigure: async (text: string): Promise<void> => {
      await configure(text);
      child.kill("SIGHUP");
      await eventually(async () => /Reloaded/.test(await readFile(log, "utf8")));
    },
  };
}

/** Opens a connection as a process with these variables does, and publishes without a pause until the end of the test. */
function publishAs(variables: Record<string, string>) {
  const { nats, secretFiles } = readEnvironment(variables, (env) => ({
    nats: readNatsAddress(env),
    secretFiles: env.secretFiles,
  }));
  const lines: string[] = [];
  const log = createLogger("test", (line) => (lines.push(line), ""));
  const connection = openConnection(
    { nats: nats.current, latestNats: nats, log, name: "test" },
    async ({ manager }) => {
      await manager.streams.add({ name: "LOAD", subjects: ["load"], storage: StorageType.Memory });
    },
  );
  const watch = secretFiles.watch(log);
  const published = { count: 0, failures: [] as unknown[] };
  const stopped = new AbortController();
  const load = async (): Promise<void> => {
    await connection.untilConnected(10_000);
    while (!stopped.signal.aborted) {
      await connection
        .session()
        ?.publisher.publish({
          stream: "LOAD",
          subject: "load",
          id: `${published.count}-${Math.random()}`,
          payload: Buffer.from("x"),
        })
        .then(
          () => published.count++,
          (error: unknown) => published.failures.push(error),
        );
      if (connection.session() === undefined) published.failures.push("disconnected");
      await delay(2);
    }
  };
  const loads = [load(), load(), load()];
  onTestFinished(async () => {
    stopped.abort();
    await Promise.all(loads);
    await connection.stop();
    await watch.stop();
  });
  return { connection, lines, published, userNow: () => connection.session()?.address };
}

async function replace(file: string, content: string): Promise<void> {
  await writeFile(`${file}.new`, content);
  await rename(`${file}.new`, file);
}

/** Waits for more publications with the credentials as they are now. */
async function untilMore({ published }: ReturnType<typeof publishAs>): Promise<void> {
  const { count } = published;
  await eventually(() => published.count > count + 50);
}

const user = (name: string): string => `{ user: ${name}, password: "pw-canary-${name}" }`;
const users = (...names: string[]): string => `authorization { users: [ ${names.map(user).join(", ")} ] }`;

it("moves to another user without a failed publication, and stays with the former one while the new is refused", async () => {
  const { folder, port, reconfigure } = await startServer(users("a", "b"));
  const url = (name: string): string => `nats://${name}:pw-canary-${name}@127.0.0.1:${port}`;
  const file = join(folder, "url");
  await writeFile(file, url("a"));
  const publisher = publishAs({ ROUTEPLANE_NATS_URL_FILE: file });
  await untilMore(publisher);
  await replace(file, url("unknown"));
  await eventually(() => publisher.lines.join("").includes("the former one stays"));
  await untilMore(publisher);
  await replace(file, url("b"));
  await eventually(() => publisher.userNow()?.user === "b");
  await untilMore(publisher);
  // Nothing of the former user is left once its time is over.
  await delay(3_500);
  await reconfigure(users("b"));
  await untilMore(publisher);
  expect(publisher.published.failures).toEqual([]);
  expect(publisher.lines.join("")).not.toContain("canary");
});

it("moves to another nkey without a failed publication", async () => {
  const [first, second] = [nkeys.createUser(), nkeys.createUser()];
  const { folder, port } = await startServer(
    `authorization { users: [ { nkey: ${first.getPublicKey()} }, { nkey: ${second.getPublicKey()} } ] }`,
  );
  const file = join(folder, "nkey");
  const seedOf = (pair: typeof first): string => Buffer.from(pair.getSeed()).toString();
  await writeFile(file, seedOf(first));
  const publisher = publishAs({ ROUTEPLANE_NATS_URL: `nats://127.0.0.1:${port}`, ROUTEPLANE_NATS_NKEY_FILE: file });
  await untilMore(publisher);
  await replace(file, seedOf(second));
  await eventually(() => publisher.userNow()?.nkey === seedOf(second));
  await untilMore(publisher);
  expect(publisher.published.failures).toEqual([]);
});

it("moves to another credentials file without a failed publication", async () => {
  const [operator, account, system] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createAccount()];
  const token = (issuer: typeof operator, sub: string, name: string, nats: object): string => {
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = { jti: name, iat: Math.floor(Date.now() / 1000), iss: issuer.getPublicKey(), name, sub, nats };
    const text = `${encode({ typ: "JWT", alg: "ed25519-nkey" })}.${encode(claims)}`;
    return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString("base64url")}`;
  };
  const all = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
  const limits = { ...all, mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const operatorToken = token(operator, operator.getPublicKey(), "operator", { type: "operator", version: 2 });
  const accountToken = token(operator, account.getPublicKey(), "account", { limits, type: "account", version: 2 });
  const systemToken = token(operator, system.getPublicKey(), "system", { limits: all, type: "account", version: 2 });
  const accounts = `${account.getPublicKey()}: ${accountToken}, ${system.getPublicKey()}: ${systemToken}`;
  const credentials = (name: string): string => {
    const pair = nkeys.createUser();
    const jwt = token(account, pair.getPublicKey(), name, {
      subs: -1,
      data: -1,
      payload: -1,
      type: "user",
      version: 2,
    });
    const block = (label: string, text: string): string =>
      `-----BEGIN ${label}-----\n${text}\n------END ${label}------\n`;
    return `${block("NATS USER JWT", jwt)}\n${block("USER NKEY SEED", Buffer.from(pair.getSeed()).toString())}`;
  };
  const { folder, port } = await startServer(
    `operator: ${operatorToken}\nsystem_account: ${system.getPublicKey()}\nresolver: MEMORY\nresolver_preload: { ${accounts} }`,
  );
  const [first, second] = [credentials("first"), credentials("second")];
  const file = join(folder, "creds");
  await writeFile(file, first);
  const publisher = publishAs({ ROUTEPLANE_NATS_URL: `nats://127.0.0.1:${port}`, ROUTEPLANE_NATS_CREDS_FILE: file });
  await untilMore(publisher);
  await replace(file, second);
  await eventually(() => publisher.userNow()?.creds === second.trim());
  await untilMore(publisher);
  expect(publisher.published.failures).toEqual([]);
});

it("speaks TLS to a server of its authority alone, says why it refuses another, and takes a new authority", async () => {
  const [authority, stranger] = [createAuthority(), createAuthority()];
  const { cert, key } = authority.issue();
  const [certFile, keyFile] = [join(authority.folder, "nats.crt"), join(authority.folder, "nats.key")];
  await writeFile(certFile, cert);
  await writeFile(keyFile, key);
  onTestFinished(async () => {
    for (const { folder } of [authority, stranger]) await rm(folder, { recursive: true });
  });
  const { port } = await startServer(
    `${users("a")}\ntls { cert_file: ${JSON.stringify(certFile)}, key_file: ${JSON.stringify(keyFile)} }`,
  );
  const ca = join(stranger.folder, "ca.crt");
  await writeFile(ca, stranger.ca);
  const publisher = publishAs({
    ROUTEPLANE_NATS_URL: `tls://a:pw-canary-a@127.0.0.1:${port}`,
    ROUTEPLANE_NATS_CA_FILE: ca,
  });
  await eventually(() => /connecting to NATS failed/.test(publisher.lines.join("")));
  expect(publisher.lines.join("")).toMatch(/certificate|self-signed|unable to verify/i);
  expect(publisher.connection.session()).toBeUndefined();
  await replace(ca, authority.ca);
  await untilMore(publisher);
  expect(publisher.lines.join("")).not.toContain("canary");
});
