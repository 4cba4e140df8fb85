import { eventually } from "@routeplane/testing";
import { AuthenticationError } from "openai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ask, failureOf, openAiClient, settledRow } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** A key's life after it was minted, as the gateway sees it. */

let node: TestNode;
let root: string;
beforeAll(async () => {
  node = await startNode();
  root = await node.apiKey();
});
afterAll(() => node.remove());

interface Answer {
  readonly key: { readonly id: string };
  readonly token: string;
  readonly graceEndsAt: string;
}

async function keys(method: string, token: string, request: object): Promise<Answer> {
  const response = await fetch(`${node.url}/routeplane.auth.v1.KeyService/${method}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  if (!response.ok) throw new Error(`${method}: ${response.status} ${await response.text()}`);
  return response.json() as Promise<Answer>;
}

const mint = (name: string) => keys("MintKey", root, { name, scopes: ["inference:invoke", "keys:write"] });
const call = (token: string) => openAiClient(node, token).chat.completions.create(ask("hello")).withResponse();

async function keyInLog({ response }: Awaited<ReturnType<typeof call>>): Promise<string> {
  return (await settledRow(node, response.headers.get("x-request-id"))).key_id;
}

it("a rotated key serves under both tokens until the grace is over, then under the new one alone, and stays one key", async () => {
  const { key, token: old } = await mint("rotated");
  await call(old);
  const { token, graceEndsAt } = await keys("RotateKey", old, { id: key.id, grace: "6s" });
  for (const answer of [await call(old), await call(token)]) expect(await keyInLog(answer)).toBe(key.id);

  // Listing models asks who calls, and leaves the request log alone.
  const models = () => openAiClient(node, old).models.list();
  const refused = await eventually(
    () =>
      models().then(
        () => undefined,
        (error: unknown) => error,
      ),
    12_000,
  );
  expect(refused).toBeInstanceOf(AuthenticationError);
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(graceEndsAt));
  expect(await keyInLog(await call(token))).toBe(key.id);
});

it("a rotation without grace stops the old token at the next request", async () => {
  const { key, token: old } = await mint("leaked");
  await call(old);
  const { token } = await keys("RotateKey", root, { id: key.id, grace: "0s" });
  expect(await failureOf(openAiClient(node, old).chat.completions.create(ask("hello")))).toMatchObject({ status: 401 });
  await call(token);
});

it("a narrowed key is refused at the next request, and the keys below it with it", async () => {
  const { key, token } = await mint("narrowed");
  const below = await keys("MintKey", token, { name: "below", scopes: ["inference:invoke"] });
  await call(below.token);
  await keys("UpdateKey", root, { id: key.id, scopes: ["keys:write"] });
  for (const each of [token, below.token]) {
    const failure = await failureOf(openAiClient(node, each).chat.completions.create(ask("hello")));
    expect(failure).toMatchObject({ status: 403, message: expect.stringContaining("inference:invoke") });
  }
});
