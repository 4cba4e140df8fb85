import { chown, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { databasePlan, databaseUrl, openDatabase, provision } from "@routeplane/postgres";
import { reservePorts } from "@routeplane/standalone";
import { preparePostgres, superuserUrl, supervise } from "@routeplane/standalone/servers";
import { createAuthority, eventually } from "@routeplane/testing";
import pg from "pg";
import { afterAll, expect, it } from "vitest";

/** A server that takes connections over TLS alone. */
const authority = createAuthority();
const other = createAuthority();
const folder = await mkdtemp(join(tmpdir(), "routeplane-tls-"));
const { ports, release } = await reservePorts(1);
const [port = 0] = ports;
const log = join(folder, "postgres.log");
const login = { port, password: "secret" };
const server = supervise(
  await preparePostgres({ ...login, folder, durable: false, log, signal: new AbortController().signal }),
  { log },
);
afterAll(async () => {
  await server.stop();
  release();
  for (const used of [folder, authority.folder, other.folder]) await rm(used, { recursive: true, force: true });
});

/** The URL with the parameters that the README recommends. */
function verified(url: string, ca: string): string {
  const secure = new URL(url);
  secure.searchParams.set("sslmode", "verify-full");
  secure.searchParams.set("sslrootcert", ca);
  return secure.href;
}

it("is reached by provision and processes that verify its certificate, and by nobody else", async () => {
  await server.started();
  const data = join(folder, "data");
  const { uid, gid } = await stat(data);
  const { cert, key } = authority.issue();
  for (const [name, content] of [
    ["server.crt", cert],
    ["server.key", key],
    ["pg_hba.conf", "hostssl all all 127.0.0.1/32 scram-sha-256\n"],
  ] as const) {
    await writeFile(join(data, name), content, { mode: 0o600 });
    await chown(join(data, name), uid, gid);
  }
  const admin = new pg.Client({ connectionString: superuserUrl(login) });
  await admin.connect();
  await admin.query("alter system set ssl = on");
  await admin.query("select pg_reload_conf()");
  await admin.end();

  const ca = authority.caFile;
  const adminUrl = verified(superuserUrl(login), ca);
  const plan = databasePlan("secure", () => "of the role");
  await eventually(
    () =>
      provision(adminUrl, plan).then(
        () => true,
        () => false,
      ),
    10_000,
  );
  // Again, so that the passwords of roles that exist are tried over TLS too.
  await provision(adminUrl, plan);

  const url = databaseUrl(plan, "routeplane_auth", { host: "127.0.0.1", port });
  const open = (at: string) =>
    openDatabase<{ pg_stat_ssl: { pid: number; ssl: boolean } }>({ url: at, schema: "auth", applicationName: "tls" });
  const isEncrypted = (opened: ReturnType<typeof open>) =>
    opened.within({}, (tx) =>
      tx
        .selectFrom("pg_stat_ssl")
        .select("ssl")
        .where(({ eb, fn }) => eb("pid", "=", fn<number>("pg_backend_pid", [])))
        .execute(),
    );
  const database = open(verified(url, ca));
  await database.requireProvisioned();
  expect(await isEncrypted(database)).toEqual([{ ssl: true }]);
  await database.stop();

  const plain = open(url);
  await expect(isEncrypted(plain)).rejects.toMatchObject({ code: "unavailable", cause: { message: /no encryption/ } });
  await plain.stop();
  const impostor = open(verified(url, other.caFile));
  await expect(isEncrypted(impostor)).rejects.toThrow(/certificate/);
  await impostor.stop();
});
