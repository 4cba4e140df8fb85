import { Code } from "@connectrpc/connect";
import { ALL_SCOPES, mintToken, parseToken } from "@routeplane/credentials";
import { newId } from "@routeplane/domain";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, INSTALLER_TOKEN, refusal, startAuthUnderTest } from "./auth-under-test.ts";

const YEAR_20000 = timestampFromMs(Date.UTC(20_000, 0));

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const verify = (token: string) => auth.verify(token);

describe("minting", () => {
  it("adds a sub-key in the minter's namespace, whose token is in the response and nowhere else", async () => {
    const root = await auth.rootKey();
    const { key, token } = await auth.as(root.token).keys.mintKey({ name: "agent", scopes: ["inference:invoke"] });
    expect(key).toMatchObject({ name: "agent", scopes: ["inference:invoke"], parentId: root.id });
    expect(token.startsWith(`${key?.prefix}`)).toBe(true);
    const secret = parseToken(token)?.secret ?? expect.fail("malformed token");
    const rows = await auth.database.within({ namespaceId: auth.namespaceId }, async (tx) =>
      JSON.stringify([
        await tx.selectFrom("keys").selectAll().execute(),
        await tx.selectFrom("key_secrets").selectAll().execute(),
      ]),
    );
    expect(rows).toContain(key?.id);
    for (const text of [rows, auth.logged.join("")]) expect(text).not.toContain(secret);
  });

  it("refuses scopes beyond the parent's, names them, and adds nothing", async () => {
    const root = await auth.rootKey("default", ["keys:*", "usage:read"]);
    const { keys } = auth.as(root.token);
    const before = (await keys.listKeys({ pageSize: 1000 })).keys.length;
    const error = await refusal(keys.mintKey({ name: "more", scopes: ["usage:*", "policy:read", "keys:read"] }));
    expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "SCOPE_EXCEEDS_PARENT" });
    expect(error.rawMessage).toContain("policy:read usage:*");
    expect((await keys.listKeys({ pageSize: 1000 })).keys).toHaveLength(before);
  });

  it.each([
    ["a blank name", { name: " \u00a0\u2003", scopes: ["keys:read"] }, "name"],
    ["no name", { scopes: ["keys:read"] }, "name"],
    ["control characters in the name", { name: "a\u001b[31mb", scopes: ["keys:read"] }, "name"],
    ["no scope", { name: "a" }, "scopes"],
    ["an unknown scope", { name: "a", scopes: ["keys:fly"] }, "scopes"],
    ["a scope given twice", { name: "a", scopes: ["keys:read", "keys:read"] }, "scopes"],
    ["an expiry that JSON cannot express", { name: "a", scopes: ["keys:read"], expiresAt: YEAR_20000 }, "expires_at"],
    ["an expiry in the past", { name: "a", scopes: ["keys:read"], expiresAt: timestampFromMs(1000) }, "expires_at"],
  ])("refuses %s, naming the field", async (_case, request, field) => {
    const root = await auth.rootKey();
    const error = await refusal(auth.as(root.token).keys.mintKey(request));
    expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "FIELD_INVALID" });
    expect(error.rawMessage).toContain(`${field}: `);
  });

  it("of root keys is for operators, in their own account's namespaces", async () => {
    const root = await auth.rootKey();
    const request = { namespace: "default", name: "r", scopes: ["keys:read"] };
    expect(await refusal(auth.as(root.token).keys.mintRootKey(request))).toMatchObject({ reason: "OPERATOR_REQUIRED" });
    const elsewhere = { ...request, namespace: newId("ns") };
    expect(await refusal(auth.as(auth.operatorToken).keys.mintRootKey(elsewhere))).toMatchObject({
      code: Code.NotFound,
    });
  });
});

describe("verifying", () => {
  it("refuses a malformed, an unknown and a wrong token with the same answer", async () => {
    const { token } = await auth.rootKey();
    const wrong = mintToken("key").split("_");
    const [prefix, mode, lookupId] = token.split("_");
    const tokens = [
      mintToken("key"),
      "junk",
      "",
      token.slice(0, -1),
      [prefix, mode, lookupId, ...wrong.slice(3)].join("_"),
    ];
    for (const refused of tokens) {
      expect(await verify(refused)).toMatchObject({ case: "refusal", value: { message: "invalid API key" } });
    }
  });

  it("refuses a revoked key and, at once, every key below it; revoking again changes nothing", async () => {
    const root = await auth.rootKey();
    const child = await auth.as(root.token).keys.mintKey({ name: "child", scopes: ["keys:*"] });
    const grandchild = await auth.as(child.token).keys.mintKey({ name: "grandchild", scopes: ["keys:read"] });
    expect(await verify(grandchild.token)).toMatchObject({ case: "key" });

    const { keys } = auth.as(root.token);
    const first = await keys.revokeKey({ id: child.key?.id ?? "" });
    auth.time.now += 1000;
    const second = await keys.revokeKey({ id: child.key?.id ?? "" });
    expect(second.key?.revokedAt).toEqual(first.key?.revokedAt);
    for (const token of [child.token, grandchild.token]) {
      expect(await verify(token)).toMatchObject({
        case: "refusal",
        value: { message: expect.stringContaining("revoked") },
      });
      expect(await refusal(auth.as(token).identity.whoAmI({}))).toMatchObject({ reason: "CREDENTIAL_REVOKED" });
    }
    expect(await verify(root.token)).toMatchObject({ case: "key" });
  });

  it("refuses a key from the moment of its expiry on, and those below it with it", async () => {
    const root = await auth.rootKey();
    const expiresAt = timestampFromMs(auth.time.now + 60_000);
    const child = await auth.as(root.token).keys.mintKey({ name: "child", scopes: ["keys:*"], expiresAt });
    const grandchild = await auth.as(child.token).keys.mintKey({ name: "grandchild", scopes: ["keys:read"] });
    expect(grandchild.key?.expiresAt).toEqual(expiresAt);
    auth.time.now += 59_999;
    expect(await verify(grandchild.token)).toMatchObject({ case: "key" });
    auth.time.now += 1;
    for (const token of [child.token, grandchild.token]) {
      expect(await verify(token)).toMatchObject({
        case: "refusal",
        value: { message: expect.stringContaining("expired") },
      });
    }
  });

  it("gives a key the scopes that every key above it holds too", async () => {
    const root = await auth.rootKey();
    const child = await auth.as(root.token).keys.mintKey({ name: "child", scopes: ["keys:*", "usage:read"] });
    const answer = await verify(child.token);
    expect(answer.value).toMatchObject({ scopes: ["keys:*", "usage:read"], lineage: [root.id, child.key?.id] });
  });

  it("records when a key was last used, to the minute", async () => {
    const root = await auth.rootKey();
    const used = async () => (await auth.as(root.token).keys.getKey({ id: root.id })).key?.lastUsedAt;
    const first = await used();
    expect(first).toEqual(timestampFromMs(auth.time.now));
    auth.time.now += 59_000;
    expect(await used()).toEqual(first);
    auth.time.now += 1_000;
    expect(await used()).toEqual(timestampFromMs(auth.time.now));
  });
});

describe("a namespace", () => {
  it("has a name that is unique in its account", async () => {
    const { namespaces } = auth.as(auth.operatorToken);
    await namespaces.createNamespace({ name: "production" });
    const error = await refusal(namespaces.createNamespace({ name: "production" }));
    expect(error).toMatchObject({ code: Code.AlreadyExists, reason: "NAME_TAKEN" });
    for (const name of ["", " ", "Production", "1st", "a".repeat(64), "x_y"]) {
      expect(await refusal(namespaces.createNamespace({ name }))).toMatchObject({ code: Code.InvalidArgument });
    }
  });

  it("cannot be reached by keys of other namespaces: the same error, byte for byte, for foreign, unknown and malformed ids", async () => {
    const { namespaces } = auth.as(auth.operatorToken);
    await namespaces.createNamespace({ name: "foreign" });
    const [own, foreign] = [await auth.rootKey(), await auth.rootKey("foreign")];
    const { keys } = auth.as(own.token);
    for (const call of [keys.getKey, keys.revokeKey]) {
      const errors = await Promise.all(
        [foreign.id, newId("key"), "key_x", "", "' or 1=1"].map((id) => refusal(call({ id }))),
      );
      const seen = errors.map((error) => JSON.stringify([error.code, error.rawMessage, error.reason]));
      expect(new Set(seen)).toEqual(new Set([seen[0]]));
      expect(errors[0]?.code).toBe(Code.NotFound);
    }
    expect((await keys.listKeys({ pageSize: 1000 })).keys.map(({ id }) => id)).not.toContain(foreign.id);
    expect(await verify(foreign.token)).toMatchObject({ case: "key" });
  });

  it("is listed with the caller's own marked active", async () => {
    const root = await auth.rootKey();
    const { namespaces } = await auth.as(root.token).namespaces.listNamespaces({});
    expect(namespaces.filter(({ active }) => active).map(({ id }) => id)).toEqual([auth.namespaceId]);
    const operators = await auth.as(auth.operatorToken).namespaces.listNamespaces({});
    expect(operators.namespaces.some(({ active }) => active)).toBe(false);
  });
});

describe("lists", () => {
  it("page through every key once, and refuse a token of another list", async () => {
    const { keys, namespaces } = auth.as((await auth.rootKey()).token);
    const all = (await keys.listKeys({ pageSize: 1000 })).keys.map(({ id }) => id);
    const paged: string[] = [];
    let pageToken = "";
    do {
      const page = await keys.listKeys({ pageSize: 3, pageToken });
      paged.push(...page.keys.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(paged).toEqual(all);
    const { nextPageToken } = await keys.listKeys({ pageSize: 1 });
    expect(await refusal(namespaces.listNamespaces({ pageToken: nextPageToken }))).toMatchObject({
      code: Code.InvalidArgument,
    });
  });
});

describe("bootstrap", () => {
  it("sets up one node for concurrent calls with one token", () => {
    const [first] = auth.setUps;
    expect(first).toMatchObject({
      accountId: expect.stringMatching(/^acc_/),
      namespaceId: expect.stringMatching(/^ns_/),
    });
    expect(auth.setUps).toEqual([first, first, first]);
  });

  it("is idempotent for its token and refuses another", async () => {
    const { bootstrap } = auth.as(INSTALLER_TOKEN);
    const again = await bootstrap.bootstrapNode({ operatorToken: auth.operatorToken });
    expect(again.namespaceId).toBe(auth.namespaceId);
    const other = await refusal(bootstrap.bootstrapNode({ operatorToken: mintToken("operator") }));
    expect(other).toMatchObject({ code: Code.FailedPrecondition });
    expect(await refusal(bootstrap.bootstrapNode({ operatorToken: mintToken("key") }))).toMatchObject({
      code: Code.InvalidArgument,
    });
  });
});

it("a mint and a revocation at the same instant leave no key that outlives its parent", async () => {
  const root = await auth.rootKey();
  for (let round = 0; round < 20; round += 1) {
    const parent = await auth.as(root.token).keys.mintKey({ name: "parent", scopes: [...ALL_SCOPES] });
    const [minted] = await Promise.allSettled([
      auth.as(parent.token).keys.mintKey({ name: "child", scopes: ["keys:read"] }),
      auth.as(root.token).keys.revokeKey({ id: parent.key?.id ?? "" }),
    ]);
    if (minted.status === "fulfilled") expect(await verify(minted.value.token)).toMatchObject({ case: "refusal" });
  }
});
