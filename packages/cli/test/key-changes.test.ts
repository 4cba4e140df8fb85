import { Code, type ServiceImpl } from "@connectrpc/connect";
import { IdentityService, KeyService, type RotateKeyRequest, type UpdateKeyRequest } from "@routeplane/contracts/auth";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeNode } from "./fake-node.ts";

const AT = { seconds: 1_777_593_600n, nanos: 0 };
const KEY = { id: "key_1", name: "my-agent", prefix: "rp_live_abcdefgh", scopes: ["usage:read"], createdAt: AT };

/** Starts a node for which the caller is `self`. */
const nodeWith = (keys: Partial<ServiceImpl<typeof KeyService>>, self = "key_root"): Promise<FakeNode> =>
  startFakeNode((router) => {
    router.service(KeyService, keys);
    const whoAmI = () => ({ identity: { case: "key" as const, value: { keyId: self } } });
    router.service(IdentityService, { whoAmI });
  });

const as = (url: string): Record<string, string> => ({
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: url,
  ROUTEPLANE_API_KEY: "rp_live_env",
});

describe.concurrent("update", () => {
  it("sends the options that were given, and shows the key", async () => {
    const received: UpdateKeyRequest[] = [];
    await using node = await nodeWith({
      updateKey: (request) => {
        received.push(request);
        return { key: { ...KEY, name: request.name || KEY.name } };
      },
    });
    const argv = ["cloud", "keys", "update", "key_1"];
    const { code, stdout } = await runCli([...argv, "--name", "new", "--json"], as(node.url));
    expect({ code, key: JSON.parse(stdout) }).toMatchObject({ code: 0, key: { id: "key_1", name: "new" } });
    const all = ["--scope", "usage:read,keys:read", "--expires-at", "2026-05-01T02:00:00+02:00"];
    expect(await runCli([...argv, ...all], as(node.url))).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("my-agent"),
    });
    expect(received).toMatchObject([
      { id: "key_1", name: "new", scopes: [] },
      { id: "key_1", name: "", scopes: ["usage:read", "keys:read"], expiresAt: AT },
    ]);
    expect(received[0]?.expiresAt).toBeUndefined();
  });

  it("exits with 4 if it widens a key, with the excess scopes and advice", async () => {
    await using node = await nodeWith({
      updateKey: () => {
        throw refusal(Code.PermissionDenied, "KEY_WIDENED", "scopes: beyond", { scopes: "keys:*" });
      },
    });
    const argv = ["cloud", "keys", "update", "key_1", "--scope", "keys:*"];
    const { code, stdout, stderr } = await runCli([...argv, "--json"], as(node.url));
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(JSON.parse(stderr)).toMatchObject({
      error: { reason: "KEY_WIDENED", metadata: { scopes: "keys:*" }, hint: expect.stringContaining("only narrow") },
    });
  });
});

describe.concurrent("rotate", () => {
  it("prints the token on stdout, once, and the end of the old one on stderr", async () => {
    const received: RotateKeyRequest[] = [];
    await using node = await nodeWith({
      rotateKey: (request) => (received.push(request), { key: KEY, token: "rp_live_secret", graceEndsAt: AT }),
    });
    const argv = ["cloud", "keys", "rotate", "key_1"];
    const text = await runCli(argv, as(node.url));
    expect(text.stdout.match(/rp_live_secret/g)).toHaveLength(1);
    expect(text.stderr).toMatch(
      /shown once[^]*works until 2026-05-01 00:00:00[^]*Sessions[^]*go on[^]*cloud sessions revoke/,
    );
    expect(text.stderr).not.toMatch(/rp_live_secret|sign in/);
    const json = await runCli([...argv, "--grace", "2d", "--json"], as(node.url));
    expect(json).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(json.stdout)).toMatchObject({ id: "key_1", prefix: KEY.prefix, token: "rp_live_secret" });
    const none = await runCli([...argv, "--grace", "0s"], as(node.url));
    expect(none.stderr).toMatch(/No earlier token works[^]*Sessions[^]*have ended/);
    expect(received.map(({ grace }) => grace?.seconds)).toEqual([undefined, 172_800n, 0n]);
  });

  it.each([
    [Code.FailedPrecondition, "STATE_CONFLICT", 1],
    [Code.PermissionDenied, "KEY_OUT_OF_LINEAGE", 4],
    [Code.NotFound, "RESOURCE_NOT_FOUND", 1],
  ])("refused with %i %s ends with exit code %i, and prints no token", async (code, reason, exitCode) => {
    await using node = await nodeWith({
      rotateKey: () => {
        throw refusal(code, reason, "the message");
      },
    });
    const result = await runCli(["cloud", "keys", "rotate", "key_1", "--json"], as(node.url));
    expect(result).toMatchObject({ code: exitCode, stdout: "" });
    expect(JSON.parse(result.stderr)).toMatchObject({ error: { reason } });
  });
});

describe.concurrent("revoke", () => {
  it("sends the reason and shows it", async () => {
    await using node = await nodeWith({
      revokeKey: ({ id, reason }) => ({ key: { ...KEY, id, revokedAt: AT, revokedReason: reason } }),
    });
    const argv = ["cloud", "keys", "revoke", "key_9"];
    const json = await runCli([...argv, "--reason", "it leaked", "--json"], as(node.url));
    expect(JSON.parse(json.stdout)).toMatchObject({
      id: "key_9",
      revoked_at: "2026-05-01T00:00:00.000Z",
      revoked_reason: "it leaked",
    });
    const text = await runCli([...argv, "--reason", "it leaked"], as(node.url));
    expect(text.stdout).toMatch(/^reason +it leaked$/m);
    const none = await runCli([...argv, "--json"], as(node.url));
    expect(JSON.parse(none.stdout)).toMatchObject({ revoked_reason: null });
  });
});

describe.concurrent("list --tree", () => {
  const rows = [
    { ...KEY, id: "key_r", name: "root" },
    { ...KEY, id: "key_a", name: "a", parentId: "key_r" },
    { ...KEY, id: "key_b", name: "b", parentId: "key_r" },
    { ...KEY, id: "key_c", name: "c\u001b[2J", parentId: "key_a" },
  ];

  it("indents each key below its parent, with aligned columns and unchanged JSON", async () => {
    await using node = await nodeWith({ listKeys: () => ({ keys: rows }) });
    const { code, stdout } = await runCli(["cloud", "keys", "list", "--tree"], as(node.url));
    const [head = "", ...lines] = stdout.trimEnd().split("\n");
    expect(code).toBe(0);
    const column = head.indexOf("ID");
    expect(lines.map((line) => line.slice(0, column).trimEnd())).toEqual([
      "root",
      "├── a",
      "│   └── c\\u001b[2J",
      "└── b",
    ]);
    expect(lines.map((line) => line.slice(column, column + 5))).toEqual(["key_r", "key_a", "key_c", "key_b"]);
    const [plain, tree] = await Promise.all(
      [[], ["--tree"]].map((flag) => runCli(["cloud", "keys", "list", ...flag, "--json"], as(node.url))),
    );
    expect(tree).toEqual(plain);
  });
});
