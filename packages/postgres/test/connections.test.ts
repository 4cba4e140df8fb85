import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { cloneDatabase, eventually } from "@routeplane/testing";
import { sql } from "kysely";
import pg from "pg";
import { afterAll, expect, it } from "vitest";
import { openDatabase } from "../src/database.ts";
import { listen } from "../src/listen.ts";
import { migrateToLatest } from "../src/migrate.ts";
import { roleSettings } from "../src/provision.ts";

const clone = await cloneDatabase();
const admin = new pg.Client({ connectionString: clone.adminUrl });
await admin.connect();
afterAll(async () => {
  await admin.end();
  await clone.drop();
});

/** Start-up parameters that every pooler accepts: PgBouncer refuses a connection with any other. */
const ACCEPTED = ["application_name", "client_encoding", "database", "user"];

/** A proxy in front of Postgres that records the names of the start-up parameters of each connection, and passes them on after a while. */
async function recordingProxy(target: URL, delayMs = 0) {
  const names = new Set<string>();
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
    }
    client.once("data", (packet: Buffer) => {
      connections += 1;
      // Length and protocol version, then name and value of each parameter, each ended by a zero.
      const texts = packet.subarray(8, packet.readInt32BE(0)).toString().split("\0");
      for (let at = 0; texts[at]; at += 2) names.add(texts[at] ?? "");
      setTimeout(() => {
        upstream.write(packet);
        client.pipe(upstream).pipe(client);
      }, delayMs);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const urlOf = (url: string): string => {
    const through = new URL(url);
    through.port = String((server.address() as AddressInfo).port);
    return through.href;
  };
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { urlOf, names, connections: () => connections, close };
}

it("sends no start-up parameter that a pooler refuses, whatever a connection is for", async () => {
  const proxy = await recordingProxy(new URL(clone.adminUrl));
  const database = openDatabase({
    url: proxy.urlOf(clone.url("routeplane_auth")),
    schema: "auth",
    applicationName: "t",
  });
  const heard: string[] = [];
  const listener = listen({
    url: proxy.urlOf(clone.url("routeplane_auth")),
    applicationName: "t",
    channel: "auth_changes",
    probe: "select sequence from changes",
    intervalMs: 50,
    onNotification: () => {},
    onProbe: (result) => void heard.push(result),
    onLost: () => {},
  });
  try {
    expect(await database.isReachable()).toBe(true);
    await eventually(async () => heard.length > 0);
    // Fails because it knows no migrations, after it has connected and read.
    await migrateToLatest({
      url: proxy.urlOf(clone.url("routeplane_auth_owner")),
      schema: "auth",
      migrations: {},
    }).catch(() => {});
    expect(proxy.connections()).toBeGreaterThanOrEqual(3);
    expect([...proxy.names].toSorted()).toEqual(ACCEPTED);
  } finally {
    await Promise.all([listener.stop(), database.stop()]);
    proxy.close();
  }
});

it("keeps a connection that opens after its caller has given up, for the next caller", async () => {
  const proxy = await recordingProxy(new URL(clone.adminUrl), 3_000);
  const url = proxy.urlOf(clone.url("routeplane_auth"));
  const database = openDatabase({ url, schema: "auth", applicationName: "t", poolSize: 1 });
  try {
    const startedAt = performance.now();
    const failure = await database.within({}, (tx) => sql`select 1`.execute(tx)).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "unavailable", message: "the database does not answer; try again" });
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    await eventually(() => database.isReachable(), 20_000);
    expect(proxy.connections()).toBe(1);
  } finally {
    await database.stop();
    proxy.close();
  }
});

it("refuses to start under a role that was not provisioned, and works as soon as it is", async () => {
  const unprovisioned = await cloneDatabase();
  const reset = "alter role routeplane_auth in database";
  await admin.query(`${reset} ${unprovisioned.name} reset all`);
  const open = (url: string) => openDatabase({ url, schema: "auth", applicationName: "t" });
  const database = open(unprovisioned.url("routeplane_auth"));
  try {
    await expect(database.requireProvisioned()).rejects.toThrow(
      `the search_path of the role routeplane_auth in the database ${unprovisioned.name} is "$user", public, not auth: run provision`,
    );
    expect(await database.isReachable()).toBe(false);
    await expect(database.within({}, (tx) => sql`select 1`.execute(tx))).rejects.toMatchObject({ code: "unavailable" });

    await admin.query(roleSettings({ database: unprovisioned.name, rolePrefix: "routeplane" }).join("; "));
    await database.requireProvisioned();
    expect(await database.isReachable()).toBe(true);
  } finally {
    await database.stop();
    await unprovisioned.drop();
  }
});

it("refuses to start under the role of another service", async () => {
  const database = openDatabase({ url: clone.url("routeplane_policy"), schema: "auth", applicationName: "t" });
  await expect(database.requireProvisioned()).rejects.toThrow("is policy, not auth");
  await database.stop();
});

it("starts while no server answers, and waits for it", async () => {
  const database = openDatabase({ url: "postgres://x@127.0.0.1:1/none", schema: "auth", applicationName: "t" });
  await database.requireProvisioned();
  await database.stop();
});

it("ends a statement after the configured time, in a transaction and in a read", async () => {
  const statementTimeoutMs = 200;
  const url = clone.url("routeplane_auth");
  const database = openDatabase({ url, schema: "auth", applicationName: "t", poolSize: 1, statementTimeoutMs });
  const sleep = sql`select pg_sleep(${30})`;
  try {
    for (const run of [
      () => database.within({}, (tx) => sleep.execute(tx)),
      () => database.read({}, (builder) => sleep.compile(builder)),
    ]) {
      const error: unknown = await run().catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: "unavailable", cause: { message: /statement timeout/ } });
    }
  } finally {
    await database.stop();
  }
});

it("lets a statement run for longer than the role's time-out if that is configured", async () => {
  const url = clone.url("routeplane_auth");
  const database = openDatabase({ url, schema: "auth", applicationName: "t", statementTimeoutMs: 20_000 });
  const timeout = sql`select current_setting('statement_timeout') as timeout`;
  expect(await database.within({}, (tx) => timeout.execute(tx))).toMatchObject({ rows: [{ timeout: "20s" }] });
  await database.stop();
});

it("gives processes time-outs by their role, and owners none", async () => {
  const settingsOf = async (role: "routeplane_auth" | "routeplane_auth_owner") => {
    const client = new pg.Client({ connectionString: clone.url(role) });
    await client.connect();
    const { rows } = await client.query(
      "select name, setting from pg_settings where source = 'database user' order by name",
    );
    await client.end();
    return Object.fromEntries(rows.map(({ name, setting }: { name: string; setting: string }) => [name, setting]));
  };
  expect(await settingsOf("routeplane_auth")).toEqual({
    idle_in_transaction_session_timeout: "2000",
    search_path: "auth",
    statement_timeout: "5000",
  });
  expect(await settingsOf("routeplane_auth_owner")).toEqual({ search_path: "auth" });
});
