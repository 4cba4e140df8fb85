import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { chatBody } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { type Cli, cliAs, cliOf } from "./json-cli.ts";

/** The operator's hand on a namespace, and what its keys feel of it, on a real node. */

let node: TestNode;
let operator: Cli;
let token: string;
let id: string;
beforeAll(async () => {
  node = await startNode();
  operator = cliOf(node);
  ({ id } = await operator.json<{ id: string }>("cloud", "namespace", "create", "staging"));
  const mint = ["--namespace", "staging", "--name", "root", "--scope", "inference:* keys:*"];
  ({ token } = await operator.json<{ token: string }>("cloud", "keys", "mint", ...mint));
});
afterAll(() => node.remove());

async function invoke(): Promise<number> {
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(chatBody("hello")),
  });
  await response.body?.cancel();
  return response.status;
}

/** A change reaches the gateway a moment after it is made. */
const invokeGets = (status: number): Promise<true> => eventually(async () => (await invoke()) === status, 5_000);

it("a suspension stops inference and management of its keys, and ends when it is resumed", async () => {
  await invokeGets(200);
  const suspended = await operator.json<{ suspended_at: string }>("cloud", "namespace", "suspend", "staging");
  expect(suspended.suspended_at).toMatch(/Z$/);
  await invokeGets(401);
  const refused = await cliAs(node, token).error("cloud", "keys", "list");
  expect(refused).toMatchObject({ exitCode: 4, reason: "NAMESPACE_SUSPENDED" });
  await operator.json("cloud", "namespace", "resume", "staging");
  await invokeGets(200);
});

it("a deletion wants --yes where nobody can be asked, and can be undone", async () => {
  const unasked = await operator.error("cloud", "namespace", "delete", "staging");
  expect(unasked).toMatchObject({ exitCode: 2, message: expect.stringContaining("--yes") as unknown });
  await invokeGets(200);
  await operator.json("cloud", "namespace", "delete", "staging", "--yes");
  await invokeGets(401);
  const { stdout } = await operator("cloud", "namespace", "list", "--deleted");
  expect(stdout).toMatch(new RegExp(`^${id} staging \\(deleted, restorable until .*\\)$`, "m"));
  expect((await operator("cloud", "namespace", "list")).stdout).not.toContain(id);
  await operator.json("cloud", "namespace", "restore", id);
  await invokeGets(200);
});

it("a new name leaves everything else as it was", async () => {
  expect(await operator.json("cloud", "namespace", "rename", "staging", "pre-production")).toMatchObject({ id });
  await invokeGets(200);
  expect(await operator.json("cloud", "namespace", "get", "pre-production")).toMatchObject({ id, active: false });
  expect(await operator.error("cloud", "namespace", "get", "staging")).toMatchObject({
    exitCode: 1,
    code: "not_found",
  });
});
