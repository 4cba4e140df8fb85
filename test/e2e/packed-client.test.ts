import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CHECKOUT } from "@routeplane/standalone";
import { findNode20 } from "@routeplane/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startNode, type TestNode } from "../harness/index.ts";
import { serviceAccessOf } from "../harness/service-access.ts";

/** Tests of `@routeplane/client` as it is published: packed, and installed in an empty folder. */

const execute = promisify(execFile);

let node: TestNode;
/** Folder with only what `npm install` of the packed package creates. */
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-client-"));
  const packed = join(CHECKOUT, "packages/client");
  await execute("npm", ["run", "--prefix", packed, "bundle"]);
  await execute("npm", ["pack", join(packed, "dist"), "--pack-destination", folder]);
  const archive = (await readdir(folder)).find((name) => name.endsWith(".tgz")) ?? "";
  await execute("npm", ["install", "--offline", "--no-audit", "--no-fund", "--prefix", folder, join(folder, archive)]);
  node = await startNode();
});
afterAll(async () => {
  await node.remove();
  await rm(folder, { recursive: true });
});

/** Program of a user, in TypeScript; its types are removed for Node.js 20. */
const PROGRAM = `
import { admission, createClient, RouteplaneError, verifier } from "@routeplane/client";
import { Reason } from "@routeplane/client/contracts";

const { AUTH = "", POLICY = "", NODE = "", KEY = "", SERVICE = "" } = process.env;
const keys = verifier({ url: AUTH, serviceCredential: SERVICE });
const spend = admission({ url: POLICY, serviceCredential: SERVICE });
const node = createClient({ url: NODE, apiKey: KEY });

const caller = await keys.authenticate({ authorization: "Bearer " + KEY }, { scope: "inference:invoke" });
const price = { requestMicroUsd: 1 };
const answer = await spend.run({ caller, price, outputTokensMax: 7 }, async (grant) => grant.outputTokensMax);
const names = (await node.keys.listKeys({})).keys.map(({ name }) => name.toUpperCase());
const reason = await keys.verify("junk").catch((error) => error instanceof RouteplaneError && error.reason);
const { id } = await node.keys.mintKey({ name: "packed", scopes: ["keys:read"] }).then(({ key }) => key ?? { id: "" });
await node.keys.revokeKey({ id });
await keys.stop();
await spend.stop();
console.log(JSON.stringify({ answer, names, reason, code: Reason.CREDENTIAL_INVALID, version: process.version }));
`;

it("verifies, admits and manages on Node.js 20, needs no other package, and ends with its process", async () => {
  expect(await readdir(join(folder, "node_modules/@routeplane"))).toEqual(["client"]);
  await writeFile(join(folder, "program.mjs"), PROGRAM);
  const { authUrl, policyUrl, serviceCredential } = await serviceAccessOf(node);
  const env = {
    AUTH: authUrl,
    POLICY: policyUrl,
    NODE: node.url,
    KEY: await node.apiKey(),
    SERVICE: serviceCredential,
  };
  const { stdout } = await execute(await findNode20(folder), ["program.mjs"], { cwd: folder, env, timeout: 60_000 });
  const reason = "CREDENTIAL_INVALID";
  expect(JSON.parse(stdout)).toEqual({
    answer: 7,
    names: ["ROOT"],
    reason,
    code: 2,
    version: expect.stringMatching(/^v20\./),
  });
});

it("has types of its own, which need those of no other package but Node.js's", async () => {
  const fault = "const fault: number = await node.keys.listKeys({ nothing: 1 });";
  await writeFile(
    join(folder, "program.mts"),
    `${PROGRAM}\n// @ts-expect-error: no such field, and no number\n${fault}\nvoid fault;`,
  );
  const compilerOptions = {
    module: "nodenext",
    target: "es2023",
    lib: ["es2023", "esnext.disposable"],
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    types: ["node"],
    typeRoots: [join(CHECKOUT, "node_modules/@types")],
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.mts"] }));
  const compiler = join(CHECKOUT, "node_modules/typescript/bin/tsc");
  const { stdout } = await execute(process.execPath, [compiler, "-p", folder]).catch(
    (error: { stdout: string }) => error,
  );
  expect(stdout).toBe("");
});
