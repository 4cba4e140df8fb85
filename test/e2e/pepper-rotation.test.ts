import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseToken } from "@routeplane/credentials";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { queryAsSuperuser } from "../harness/database.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests of a pepper rotation as services/auth/README.md describes it, one restart after the other. */

let node: TestNode;
const p2 = `p2:${randomBytes(32).toString("hex")}`;
const tokens: Record<"first" | "operator" | "minted" | "rotated" | "newOperator", string> = {
  first: "",
  operator: "",
  minted: "",
  rotated: "",
  newOperator: "",
};

beforeAll(async () => {
  node = await startNode();
  tokens.first = await node.apiKey();
  tokens.operator = await node.operatorKey();
});
afterAll(() => node.remove());

/** Restarts the node with other peppers. */
async function restartWith(peppers: (before: string) => string): Promise<void> {
  await node.stop();
  const path = join(node.home, "secrets.json");
  const secrets = JSON.parse(await readFile(path, "utf8"));
  await writeFile(path, JSON.stringify({ ...secrets, keyPeppers: peppers(secrets.keyPeppers) }), { mode: 0o600 });
  node = await startNode({ home: node.home, port: node.port });
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}`, "content-type": "application/json" });

async function rpc(method: string, token: string, request: object) {
  const url = `${node.url}/routeplane.auth.v1.${method}`;
  const response = await fetch(url, { method: "POST", headers: bearer(token), body: JSON.stringify(request) });
  return { status: response.status, ...JSON.parse(await response.text()) };
}

/** Statuses of a token, by inference and by the management API. */
async function statusesOf(token: string): Promise<readonly number[]> {
  const { status } = await fetch(`${node.url}/v1/models`, { headers: bearer(token) });
  return [status, (await rpc("IdentityService/WhoAmI", token, {})).status];
}

/** Id of the pepper with which the secret of a token is hashed in the database. */
async function pepperOf(token: string): Promise<string | undefined> {
  const rows = await queryAsSuperuser<{ pepper_id: string }>(
    node.home,
    `select pepper_id from auth.key_secrets where lookup_id = $1
     union all select pepper_id from auth.operator_secrets where lookup_id = $1`,
    [parseToken(token)?.lookupId],
  );
  return rows[0]?.pepper_id;
}

describe("a node with a new pepper in front of the old one", () => {
  beforeAll(() => restartWith((before) => `${p2},${before}`));

  it("verifies tokens that the old one hashed", async () => {
    expect(await pepperOf(tokens.first)).toBe("p1");
    expect(await statusesOf(tokens.first)).toEqual([200, 200]);
    expect((await rpc("IdentityService/WhoAmI", tokens.operator, {})).status).toBe(200);
  });

  it("hashes the tokens of mints and rotations with the new one", async () => {
    const scopes = ["keys:read", "inference:invoke"];
    tokens.minted = (await rpc("KeyService/MintKey", tokens.first, { name: "new", scopes })).token;
    const { key } = await rpc("IdentityService/WhoAmI", tokens.first, {});
    tokens.rotated = (await rpc("KeyService/RotateKey", tokens.first, { id: key.keyId })).token;
    const { operator } = await rpc("IdentityService/WhoAmI", tokens.operator, {});
    tokens.newOperator = (
      await rpc("OperatorService/RotateOperator", tokens.operator, { id: operator.operatorId })
    ).token;
    for (const token of [tokens.minted, tokens.rotated, tokens.newOperator]) expect(await pepperOf(token)).toBe("p2");
    for (const token of [tokens.minted, tokens.rotated]) expect(await statusesOf(token)).toEqual([200, 200]);
    // Both replaced tokens are in their grace.
    expect(await statusesOf(tokens.first)).toEqual([200, 200]);
  });
});

describe("a node without the old pepper", () => {
  beforeAll(() => restartWith(() => p2));

  it("verifies tokens that the new one hashed, and mints with it", async () => {
    for (const token of [tokens.minted, tokens.rotated]) expect(await statusesOf(token)).toEqual([200, 200]);
    const root = { namespace: "default", name: "later", scopes: ["keys:read"] };
    expect((await rpc("KeyService/MintRootKey", tokens.newOperator, root)).status).toBe(200);
  });

  it("refuses tokens that the old one hashed like any unknown token, and serves others", async () => {
    const pid = await node.pid("auth");
    for (let count = 0; count < 3; count++) {
      expect(await statusesOf(tokens.first)).toEqual([401, 401]);
      expect(await rpc("IdentityService/WhoAmI", tokens.operator, {})).toMatchObject({
        status: 401,
        code: "unauthenticated",
        message: "invalid API key",
      });
    }
    expect(await statusesOf(tokens.minted)).toEqual([200, 200]);
    expect(await node.pid("auth")).toBe(pid);
    const log = (await node.log("auth")).split("\n").filter((line) => /"level":"(error|fatal)"/.test(line));
    expect(log).toEqual([]);
  });
});

it("does not start with unreadable peppers, and prints neither", async () => {
  await expect(restartWith(() => "p2:too-short")).rejects.toThrow(/ROUTEPLANE_KEY_PEPPERS/);
  expect(await node.log("auth")).not.toContain("too-short");
});
