import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createLogger, readEnvironment } from "@routeplane/runtime";
import { cloneDatabase, eventually } from "@routeplane/testing";
import { sql } from "kysely";
import pg from "pg";
import { afterAll, beforeEach, expect, it, onTestFinished } from "vitest";
import { openDatabase } from "../src/database.ts";
import { listen } from "../src/listen.ts";

const clone = await cloneDatabase();
const admin = new pg.Client({ connectionString: clone.adminUrl });
await admin.connect();
/** Roles of this test only, because all tests share the other roles of the server. */
const ROLES = ["rotation_a", "rotation_b"] as const;
afterAll(async () => {
  await admin.end();
  await clone.drop();
});

beforeEach(async () => {
  for (const role of ROLES) {
    await admin.query(`do $$ begin create role ${role} login; exception when duplicate_object then end $$`);
    await admin.query(`alter role ${role} password 'first-canary'; alter role ${role} set search_path = auth`);
    await admin.query(`grant usage on schema auth to ${role}; grant select on auth.changes to ${role}`);
  }
});

const urlOf = (role: string, password: string): string => {
  const url = new URL(clone.adminUrl);
  url.username = role;
  url.password = password;
  return url.href;
};

/** A pool and a listener under load, whose connection string is in a file. */
async function startLoad() {
  const folder = await mkdtemp(join(tmpdir(), "login-"));
  const file = join(folder, "url");
  await writeFile(file, urlOf("rotation_a", "first-canary"));
  const { url, secretFiles } = readEnvironment({ URL_FILE: file }, (env) => ({
    url: env.secretUrl("URL", ["postgres:"]),
    secretFiles: env.secretFiles,
  }));
  const lines: string[] = [];
  const log = createLogger("test", (line) => (lines.push(line), ""));
  const database = openDatabase({ url, log, schema: "auth", applicationName: "rotation", poolSize: 4 });
  const feed = { results: 0, lost: 0 };
  const listener = listen({
    url,
    applicationName: "rotation",
    channel: "auth_changes",
    probe: "select sequence from changes",
    intervalMs: 100,
    onNotification: () => {},
    onProbe: () => feed.results++,
    onLost: () => feed.lost++,
  });
  const watch = secretFiles.watch(log);
  const stopped = new AbortController();
  const failures: unknown[] = [];
  let done = 0;
  let paused = Promise.resolve();
  let resume = (): void => {};
  let running = 0;
  // More concurrent transactions than connections.
  const work = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await paused;
      running++;
      await database
        .within({}, (tx) => sql`select pg_sleep(0.01)`.execute(tx))
        .then(
          () => done++,
          (error: unknown) => failures.push(error),
        );
      running--;
    }
  };
  const all = Array.from({ length: 6 }, work);
  const end = async (): Promise<void> => {
    stopped.abort();
    await Promise.all(all);
    await Promise.all([listener.stop(), database.stop(), watch.stop()]);
    await rm(folder, { recursive: true });
  };
  onTestFinished(end);
  const connections = async (): Promise<readonly string[]> => {
    const { rows } = await admin.query<{ usename: string; pid: number }>(
      "select usename, pid from pg_stat_activity where application_name = 'rotation' order by pid",
    );
    return rows.map(({ usename, pid }) => `${usename} ${pid}`);
  };
  return {
    lines,
    failures,
    feed,
    database,
    connections,
    replace: async (content: string) => {
      await writeFile(`${file}.new`, content);
      await rename(`${file}.new`, file);
    },
    /** Resolves once no transaction runs, until `resume`. */
    pause: async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      [paused, resume] = [promise, resolve];
      await eventually(async () => running === 0);
    },
    resume: () => resume(),
    untilMore: async () => {
      const before = done;
      await eventually(async () => done > before + 20);
    },
  };
}

/** Waits until every connection, including that of the listener, has been replaced. */
async function untilReplaced(load: Awaited<ReturnType<typeof startLoad>>, before: readonly string[]): Promise<void> {
  await eventually(async () => {
    const now = await load.connections();
    return now.length > 1 && now.every((connection) => !before.includes(connection));
  });
}

it("accepts a password that is changed in the file first, and closes the connections of the former one", async () => {
  const load = await startLoad();
  await load.untilMore();
  const before = await load.connections();
  await load.replace(urlOf("rotation_a", "second-canary"));
  await eventually(async () => load.lines.join("").includes("the former stays"));
  await load.untilMore();
  expect(await load.connections()).toEqual(expect.arrayContaining(before.slice(0, 1)));
  await admin.query("alter role rotation_a password 'second-canary'");
  await untilReplaced(load, before);
  await load.untilMore();
  expect(load.failures).toEqual([]);
  expect(load.feed.lost).toBe(0);
  expect(load.lines.join("")).toContain("accepts the new connection string");
  expect(load.lines.join("")).not.toContain("canary");
});

it("accepts a password that is changed in the database first, if its file follows soon", async () => {
  const load = await startLoad();
  await load.untilMore();
  await admin.query("alter role rotation_a password 'second-canary'");
  // Closes every connection, so that others must be opened.
  await load.pause();
  await admin.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'rotation'");
  await eventually(async () => (await load.connections()).length === 0);
  // The pool notices a moment later; then transactions try to connect for a while.
  await delay(100);
  load.resume();
  await delay(200);
  await load.replace(urlOf("rotation_a", "second-canary"));
  await load.untilMore();
  expect(load.failures).toEqual([]);
});

it("moves to another role, so that the former one can be removed", async () => {
  const load = await startLoad();
  await load.untilMore();
  await load.replace(urlOf("rotation_b", "first-canary"));
  await eventually(async () => (await load.connections()).every((connection) => connection.startsWith("rotation_b")));
  const before = load.feed.results;
  await eventually(async () => load.feed.results > before + 3);
  await load.untilMore();
  expect(load.failures).toEqual([]);
  expect(load.feed.lost).toBe(0);
});

it("is unavailable under a login that the server refuses, and waits for another one", async () => {
  const database = openDatabase({ url: urlOf("rotation_a", "wrong"), schema: "auth", applicationName: "t" });
  onTestFinished(() => database.stop());
  await expect(database.within({}, (tx) => sql`select`.execute(tx))).rejects.toMatchObject({ code: "unavailable" });
});
