import { once } from "node:events";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { reservePorts } from "@routeplane/standalone";
import { newHome, processesOf, runUp } from "../harness/index.ts";

async function emptyHome(): Promise<string> {
  const home = await newHome();
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  return home;
}

async function up(home: string, environment: Record<string, string> = {}) {
  const { ports, release } = await reservePorts(1);
  onTestFinished(release);
  const result = await runUp(home, [], { environment: { ROUTEPLANE_PORT: `${ports[0]}`, ...environment } }).ended;
  expect(result.exitCode).toBe(1);
  expect(result.stderr).not.toMatch(/^\s+at /m);
  expect(await processesOf(home)).toEqual([]);
  return result;
}

it("names a port that is in use before it starts anything", async () => {
  const home = await emptyHome();
  const { ports } = await reservePorts(1);
  const [port = 0] = ports;
  const other = createServer().listen(port, "127.0.0.1");
  await once(other, "listening");
  onTestFinished(() => void other.close());
  const { stderr } = await up(home, { ROUTEPLANE_PORT: `${port}` });
  expect(stderr).toContain(`port ${port} is in use`);
  expect(stderr).toContain("ROUTEPLANE_PORT");
  expect(await readdir(home)).not.toContain("postgres");
});

it("deletes nothing in a folder `run` that is not a node's", async () => {
  const home = await emptyHome();
  await mkdir(join(home, "run/nested"), { recursive: true });
  await writeFile(join(home, "run/nested/notes.txt"), "");
  await up(home, { ROUTEPLANE_CONSOLE: "no such choice" });
  expect(await readdir(join(home, "run"), { recursive: true })).toEqual(["nested", "nested/notes.txt"]);
});

it("reports a home that is a file", async () => {
  const home = join(await emptyHome(), "file");
  await writeFile(home, "");
  const { stderr } = await up(home);
  expect(stderr).toContain(`cannot be kept in ${home}: it is a file`);
  expect(stderr).toContain("ROUTEPLANE_HOME");
});

it("reports a home that is not writable", async () => {
  const { stderr } = await up("/proc/routeplane");
  expect(stderr).toContain("cannot be kept in /proc/routeplane");
});

it("does not touch data without its secrets", async () => {
  const home = await emptyHome();
  await mkdir(join(home, "postgres/data"), { recursive: true });
  await writeFile(join(home, "postgres/data/PG_VERSION"), "18\n");
  const { stderr } = await up(home);
  expect(stderr).toContain("secrets.json is missing");
});

it("shows the gateway's error about a faulty providers file", async () => {
  const home = await emptyHome();
  const providers = join(home, "providers.yaml");
  await writeFile(providers, "providers:\n  - name: 7\n");
  const { stderr } = await up(home, { ROUTEPLANE_PROVIDERS: providers });
  expect(stderr).toContain("gateway exited with 1");
  expect(stderr).toContain(providers);
});
