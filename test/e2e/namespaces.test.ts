import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { chatBody } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { type Cli, cliAs, cliOf } from "./json-cli.ts";

/** Tests of an operator's changes to a namespace, and their effect on its keys. */

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

/** Resolves once a call gets this status: a change takes effect at the gateway within 5 s. */
const untilInvokeGets = (status: number): Promise<true> => eventually(async () => (await invoke()) === status, 5_000);

it("a suspension stops inference and management by its keys until it is resumed", async () => {
  await untilInvokeGets(200);
  const suspended = await operator.json<{ suspended_at: string }>("cloud", "namespace", "suspend", "staging");
  expect(suspended.suspended_at).toMatch(/Z$/);
  await untilInvokeGets(401);
  const refused = await cliAs(node, token).error("cloud", "keys", "list");
  expect(refused).toMatchObject({ exitCode: 4, reason: "NAMESPACE_SUSPENDED" });
  await operator.json("cloud", "namespace", "resume", "staging");
  await untilInvokeGets(200);
});

it("a deletion needs --yes without a terminal, and can be undone", async () => {
  const unasked = await operator.error("cloud", "namespace", "delete", "staging");
  expect(unasked).toMatchObject({ exitCode: 2, message: expect.stringContaining("--yes") as unknown });
  await untilInvokeGets(200);
  await operator.json("cloud", "namespace", "delete", "staging", "--yes");
  await untilInvokeGets(401);
  const { stdout } = await operator("cloud", "namespace", "list", "--deleted");
  expect(stdout).toMatch(new RegExp(`^${id} staging \\(deleted, restorable until .*\\)$`, "m"));
  expect((await operator("cloud", "namespace", "list")).stdout).not.toContain(id);
  await operator.json("cloud", "namespace", "restore", id);
  await untilInvokeGets(200);
});

it("a rename changes nothing else", async () => {
  expect(await operator.json("cloud", "namespace", "rename", "staging", "pre-production")).toMatchObject({ id });
  await untilInvokeGets(200);
  expect(await operator.json("cloud", "namespace", "get", "pre-production")).toMatchObject({ id, active: false });
  expect(await operator.error("cloud", "namespace", "get", "staging")).toMatchObject({
    exitCode: 1,
    code: "not_found",
  });
});
