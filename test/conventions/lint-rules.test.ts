import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { CHECKOUT } from "@routeplane/standalone";
import { afterAll, beforeAll, expect, it } from "vitest";

/** Rules of oxlint.config.ts, each run over scratch files that break it, in a directory of its own with the same configuration. */

interface Finding {
  readonly code: string;
  readonly help: string;
  readonly filename: string;
}

const PORT = "declare a port in domain/ and let app.ts pass its implementation in";

/** Folder, an import that it may not have, and the rule and remedy that the linter must name. */
const FORBIDDEN: readonly (readonly [room: string, imported: string, rule: string, mend: string])[] = [
  ["packages/rpc/src", "@routeplane/auth", "packages import no service", "move what both need to packages/"],
  ["packages/rpc/src", "../../../services/auth/src/config.ts", "packages import no service", "call its RPCs"],
  ["packages/rpc/src", "pg", "Drivers have one home", "use @routeplane/postgres"],
  ["packages/admission/src", "@connectrpc/connect", "A pure package imports no wire code", "move the conversion"],
  ["packages/admission/src", "kysely", "A pure package imports no database code", "move the query"],
  ["packages/admission/src", "@routeplane/events", "A pure package imports no broker code", "pass the value in"],
  ["packages/postgres/src", "nats", "Only packages/events imports nats", "use @routeplane/events"],
  ["packages/postgres/src", "@routeplane/rpc", "packages/postgres imports no wire code", "move the conversion"],
  ["packages/events/src", "pg", "Only packages/postgres imports pg", "use @routeplane/postgres"],
  ["packages/events/src", "kysely", "packages/events imports no database code", "join both in a service's app.ts"],
  ["packages/standalone/src", "nats", "Only packages/events imports nats", "use @routeplane/events"],
  ["services/usage/src", "@routeplane/policy", "Services and packages import no service", "call its RPCs"],
  ["services/usage/src/domain", "../../../policy/src/config.ts", "import no service", "call its RPCs"],
  ["services/usage/src", "nats", "Drivers have one home", "use @routeplane/postgres instead of pg, @routeplane/events"],
  ["services/usage/src/domain", "@routeplane/contracts/usage", "imports no wire code", "handlers/ or clients/"],
  ["services/usage/src/domain/request", "@bufbuild/protobuf", "imports no wire code", "handlers/ or clients/"],
  ["services/usage/src/domain", "@routeplane/postgres", "imports no database code", "move the query to store/"],
  ["services/usage/src/domain", "@routeplane/events", "imports no broker code", "move it to consumers/ or clients/"],
  ["services/usage/src/domain", "../store/a.ts", "domain/ imports no store/", PORT],
  ["services/usage/src/domain/request/deep", "../../../handlers/a.ts", "handlers/", PORT],
  ["services/usage/src/domain", "../clients/a.ts", "clients/", PORT],
  ["services/usage/src/domain", "../consumers/a.ts", "consumers/", PORT],
  ["services/usage/src/domain", "../jobs/a.ts", "jobs/", PORT],
  ["services/gateway/src/domain", "../upstreams/a.ts", "upstreams/", PORT],
  ["services/gateway/src/domain", "../providers/a.ts", "providers/", PORT],
  [
    "services/usage/src/handlers",
    "kysely",
    "handlers/ imports no database code",
    "a port of domain/ that store/ implements",
  ],
  ["services/usage/src/handlers", "@routeplane/events", "handlers/ imports no broker code", "a port of domain/"],
  ["services/usage/src/handlers", "../store/a.ts", "handlers/ imports no store/", PORT],
  ["services/gateway/src/handlers", "../clients/a.ts", "handlers/ imports no store/, clients/", PORT],
  ["services/gateway/src/handlers", "../upstreams/a.ts", "upstreams/", PORT],
  [
    "services/usage/src/consumers",
    "kysely",
    "consumers/ imports no database code",
    "a port of domain/ that store/ implements",
  ],
  ["services/usage/src/consumers", "../store/a.ts", "consumers/ imports no store/", PORT],
  ["services/usage/src/jobs", "../handlers/a.ts", "jobs/ imports no store/, handlers/", PORT],
  ["services/gateway/src/clients", "kysely", "clients/ imports no database code", "move the query to store/"],
  ["services/gateway/src/clients", "../handlers/a.ts", "clients/ imports no store/, handlers/", PORT],
  [
    "services/gateway/src/upstreams",
    "@routeplane/rpc",
    "upstreams/ imports no wire code",
    "calls to services are in clients/",
  ],
  ["services/gateway/src/upstreams", "../clients/a.ts", "upstreams/ imports no store/, handlers/, clients/", PORT],
  ["services/gateway/src/providers", "../handlers/a.ts", "providers/ imports no store/, handlers/", PORT],
  ["services/usage/src/store", "@routeplane/contracts/usage", "store/ imports no wire code", "messages in handlers/"],
  [
    "services/usage/src/store",
    "@routeplane/events",
    "store/ imports no broker code",
    "move it to consumers/ or clients/",
  ],
  ["services/usage/src/store", "../handlers/a.ts", "store/ imports no handlers/", PORT],
];

let directory: string;
let findings: readonly Finding[];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "routeplane-lint-"));
  await symlink(join(CHECKOUT, "node_modules"), join(directory, "node_modules"));
  await copyFile(join(CHECKOUT, "oxlint.config.ts"), join(directory, "oxlint.config.ts"));
  await writeFile(join(directory, "package.json"), JSON.stringify({ type: "module" }));
  for (const [index, [room, imported]] of FORBIDDEN.entries()) {
    await writeScratch(`${room}/${scratchName(index)}`, `export { thing } from "${imported}";\n`);
  }
  await writeScratch(
    "packages/cli/src/one.ts",
    'import type { Other } from "./other.ts";\n\nexport type One = Other[];\n',
  );
  await writeScratch(
    "packages/cli/src/other.ts",
    'import type { One } from "./one.ts";\n\nexport type Other = One[];\n',
  );
  await writeScratch("services/usage/src/domain/allowed.ts", 'export { thing } from "@routeplane/domain";\n');
  await writeScratch("services/usage/src/domain/a.test.ts", 'export { thing } from "../store/a.ts";\n');
  findings = await lint();
});
afterAll(() => rm(directory, { recursive: true, force: true }));

it.each(FORBIDDEN.map((breach, index) => ({ breach, index })))(
  "names rule and remedy if $breach.0 imports $breach.1",
  ({ breach: [room, , rule, mend], index }) => {
    const helps = findingsOf(`${room}/${scratchName(index)}`).map(({ help }) => help);
    expect(helps).toHaveLength(1);
    expect(helps[0]).toContain(rule);
    expect(helps[0]).toContain(mend);
  },
);

it("reports a cycle of type-only imports", () => {
  expect(findingsOf("packages/cli/src/one.ts").map(({ code }) => code)).toEqual(["import(no-cycle)"]);
  expect(findingsOf("packages/cli/src/other.ts").map(({ code }) => code)).toEqual(["import(no-cycle)"]);
});

it("lets domain/ import pure packages, and a test any folder", () => {
  expect(findingsOf("services/usage/src/domain/allowed.ts")).toEqual([]);
  expect(findingsOf("services/usage/src/domain/a.test.ts")).toEqual([]);
});

function scratchName(index: number): string {
  return `scratch-${index}.ts`;
}

async function writeScratch(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(directory, path)), { recursive: true });
  await writeFile(join(directory, path), text);
}

/** Findings of oxlint over the directory; it exits with 1 because there are some. */
async function lint(): Promise<readonly Finding[]> {
  const oxlint = join(CHECKOUT, "node_modules/oxlint/bin/oxlint");
  const run = promisify(execFile)(process.execPath, [oxlint, "--format", "json", "packages", "services"], {
    cwd: directory,
  });
  const { stdout } = await run.catch((error: { readonly stdout: string }) => error);
  return JSON.parse(stdout).diagnostics;
}

function findingsOf(path: string): readonly Finding[] {
  return findings.filter(({ filename }) => filename === path);
}
