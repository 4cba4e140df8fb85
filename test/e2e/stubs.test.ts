import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CHECKOUT } from "@routeplane/standalone";
import { findOrInstall } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests of stubs in other languages, generated from the contracts as the examples do it, against a node. */

const run = promisify(execFile);
const EXAMPLE = join(CHECKOUT, "examples/grpc-python");
// Debian's, which has its packages, whatever else is on the PATH.
const PYTHON = "/usr/bin/python3";

const PROGRAMS = {
  find: `${PYTHON} -c "import grpc, google.protobuf" && command -v protoc && command -v grpc_python_plugin`,
  packages: ["python3-grpcio", "python3-protobuf", "protobuf-compiler", "protobuf-compiler-grpc"],
};
const INSTALL_TIMEOUT_MS = 720_000;

describe("stubs for Python", () => {
  let node: TestNode;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "routeplane-stubs-"));
    await findOrInstall(PROGRAMS);
    node = await startNode();
    await run(join(CHECKOUT, "node_modules/.bin/buf"), ["generate", "--output", folder], { cwd: EXAMPLE });
    await copyFile(join(EXAMPLE, "client.py"), join(folder, "client.py"));
  }, INSTALL_TIMEOUT_MS);
  afterAll(async () => {
    await node?.remove();
    await rm(folder, { recursive: true });
  });

  const client = async (token: string) => {
    const { auth } = JSON.parse(await readFile(join(node.home, "run/addresses.json"), "utf8"));
    return run(PYTHON, ["client.py", auth], { cwd: folder, env: { ROUTEPLANE_API_KEY: token } });
  };

  it("list the keys of a namespace, over more than one page", async () => {
    const ids: string[] = [];
    for (let count = 0; count < 101; count += 1) {
      const mint = ["cloud", "keys", "mint", "--name", `key-${count}`, "--scope", "usage:read", "--json"];
      ids.push(JSON.parse((await node.cli(mint)).stdout).id);
    }
    const { stdout } = await client(await node.apiKey());
    const lines = stdout.trim().split("\n");
    expect(lines).toHaveLength(102);
    expect(lines.slice(1)).toEqual(ids.map((id, count) => `${id} key-${count} usage:read`));
  });

  it("get the code and the message of a refusal", async () => {
    await expect(client("rp_nonsense")).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^UNAUTHENTICATED: .+/),
    });
  });
});
