import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { ALL_OPERATOR_SCOPES, parseToken } from "@routeplane/credentials";
import { newId } from "@routeplane/domain";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, INSTALLER_TOKEN, refusal, startAuthUnderTest } from "./auth-under-test.ts";

const HOUR = 3_600_000;

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const rpc = (token = auth.operatorToken) => auth.as(token).operators;
/** `ok`, or the message of the refusal. */
const stateOf = async (token: string) => {
  const outcome = await auth.verify(token);
  return outcome.case === "operator" ? "ok" : outcome.case === "refusal" ? outcome.value.message : outcome.case;
};
const firstId = async () => {
  const { identity } = await auth.as(auth.operatorToken).identity.whoAmI({});
  return identity.case === "operator" ? identity.value.operatorId : expect.fail("is no operator");
};

describe("an operator credential", () => {
  it("is minted by another, below it, and may do what its scopes permit", async () => {
    const scopes = ["operators:read", "namespaces:*"];
    const request = { name: "ci", scopes, expiresAt: timestampFromMs(auth.time.now + HOUR) };
    const { operator, token } = await rpc().mintOperator(request);
    expect(operator).toMatchObject({
      name: "ci",
      prefix: token.slice(0, 17),
      scopes: ["namespaces:*", "operators:read"],
      parentId: await firstId(),
      accountId: "",
      expiresAt: request.expiresAt,
      revokedReason: "",
    });
    expect(token).toMatch(/^rpo_live_/);
    expect((await auth.as(token).identity.whoAmI({})).identity).toMatchObject({
      case: "operator",
      value: { operatorId: operator?.id, name: "ci", scopes: ["namespaces:*", "operators:read"] },
    });
    expect((await rpc(token).getOperator({ id: operator?.id ?? "" })).operator).toEqual(operator);
    await auth.as(token).namespaces.createNamespace({ name: "by-ci" });
    expect(
      await refusal(auth.as(token).keys.mintRootKey({ namespace: "by-ci", name: "x", scopes: ["keys:read"] })),
    ).toMatchObject({ code: Code.PermissionDenied, reason: "SCOPE_MISSING", infoMetadata: { scope: "keys:write" } });
    auth.time.now += HOUR;
    expect(await stateOf(token)).toContain("has expired");
  });

  it("is listed oldest first, in pages, to every operator with operators:read", async () => {
    const made = [await auth.operator(), await auth.operator(), await auth.operator()].map(({ id }) => id);
    const all: string[] = [];
    let pageToken = "";
    do {
      const page = await rpc().listOperators({ pageSize: 2, pageToken });
      all.push(...page.operators.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(all[0]).toBe(await firstId());
    expect(all.slice(-3)).toEqual(made);
    expect(new Set(all).size).toBe(all.length);
    expect(await refusal(rpc().listOperators({ pageToken: "CgRrZXlz" }))).toMatchObject({ code: Code.InvalidArgument });
  });

  it("shows its token in the response and nowhere else; the database has a hash", async () => {
    const { id, token } = await auth.operator();
    const rotated = await rpc().rotateOperator({ id });
    const rows = await auth.database.within({ node: true }, async (tx) => ({
      operators: await tx.selectFrom("operators").selectAll().execute(),
      secrets: await tx.selectFrom("operator_secrets").selectAll().execute(),
      audit: await tx.selectFrom("audit_entries").selectAll().execute(),
    }));
    const kept = JSON.stringify(rows);
    for (const each of [token, rotated.token]) {
      const { lookupId, secret } = parseToken(each) ?? expect.fail("malformed token");
      expect(kept).toContain(lookupId);
      for (const text of [kept, auth.logged.join("")]) expect(text).not.toContain(secret);
    }
    const hashes = rows.secrets.map(({ secret_hash }) => secret_hash.toString("hex"));
    for (const hash of hashes) expect(JSON.stringify(rows.audit)).not.toContain(hash);
  });

  it("cannot act in a namespace, whatever its scopes", async () => {
    const { token } = await auth.operator();
    const { keys } = auth.as(token);
    for (const call of [() => keys.listKeys({}), () => keys.mintKey({ name: "x", scopes: ["keys:*"] })]) {
      expect(await refusal(call())).toMatchObject({ code: Code.PermissionDenied, reason: "SCOPE_MISSING" });
    }
  });
});

describe("a mint", () => {
  it("of more scopes than the caller holds is refused and names the excess", async () => {
    const { token } = await auth.operator({ scopes: ["operators:*", "namespaces:read"] });
    const request = { name: "more", scopes: ["operators:read", "namespaces:*", "audit:read"] };
    expect(await refusal(rpc(token).mintOperator(request))).toMatchObject({
      code: Code.PermissionDenied,
      reason: "SCOPE_EXCEEDS_PARENT",
      infoMetadata: { scopes: "audit:read namespaces:*" },
    });
    await rpc(token).mintOperator({ name: "less", scopes: ["operators:write"] });
  });

  it("of one that outlives the caller is refused; without an expiry it ends with the caller", async () => {
    const end = auth.time.now + HOUR;
    const { token } = await auth.operator({ expiresAtMs: end });
    const request = { name: "late", scopes: ["audit:read"], expiresAt: timestampFromMs(end + 1) };
    expect(await refusal(rpc(token).mintOperator(request))).toMatchObject({
      code: Code.PermissionDenied,
      reason: "EXPIRY_EXCEEDS_PARENT",
    });
    const { operator } = await rpc(token).mintOperator({ name: "as-long", scopes: ["audit:read"] });
    expect(operator?.expiresAt).toEqual(timestampFromMs(end));
  });

  it.each([
    [[], "at least 1"],
    [["operators:read", " "], "blank"],
    [["Operators:read"], "unknown scope"],
    [["OPERATORS:READ"], "unknown scope"],
    [["inference:invoke"], "unknown scope"],
    [["namespace:read"], "unknown scope"],
    [["*"], "unknown scope"],
    [["operator:operators:read"], "unknown scope"],
    [["audit:read", "audit:read"], "twice"],
    [Array.from({ length: 51 }, () => "x"), "no more than 50"],
  ])("with the scopes %j is refused", async (scopes, rule) => {
    const error = await refusal(rpc().mintOperator({ name: "x", scopes: [...scopes] }));
    expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "FIELD_INVALID" });
    expect(error.message).toContain("scopes");
    expect(error.message).toContain(rule);
  });

  it.each(["", " ", "\t", "a\u0000b", "x".repeat(101)])("with the name %j is refused", async (name) => {
    const error = await refusal(rpc().mintOperator({ name, scopes: ["audit:read"] }));
    expect(error).toMatchObject({ code: Code.InvalidArgument });
  });

  it("with an expiry that is now or over is refused", async () => {
    for (const at of [auth.time.now, auth.time.now - 1, 0]) {
      const request = { name: "x", scopes: ["audit:read"], expiresAt: timestampFromMs(at) };
      expect(await refusal(rpc().mintOperator(request))).toMatchObject({ code: Code.InvalidArgument });
    }
  });

  it("nests 8 deep and no deeper", async () => {
    let by = auth.operatorToken;
    for (let depth = 2; depth <= 8; depth++) ({ token: by } = await auth.operator({ by }));
    expect(await refusal(auth.operator({ by }))).toMatchObject({ reason: "LINEAGE_TOO_DEEP" });
  });

  it("is not for keys, nor for an operator without operators:write", async () => {
    const request = { name: "x", scopes: ["audit:read"] };
    const root = await auth.rootKey();
    expect(await refusal(rpc(root.token).mintOperator(request))).toMatchObject({ reason: "OPERATOR_REQUIRED" });
    const { token } = await auth.operator({ scopes: ALL_OPERATOR_SCOPES.filter((each) => each !== "operators:*") });
    expect(await refusal(rpc(token).mintOperator(request))).toMatchObject({
      reason: "SCOPE_MISSING",
      infoMetadata: { scope: "operators:write" },
    });
  });
});

describe("a revocation", () => {
  it("stops the credential and, at once, all below it, and no other", async () => {
    const parent = await auth.operator();
    const child = await auth.operator({ by: parent.token });
    const grandchild = await auth.operator({ by: child.token });
    const beside = await auth.operator();
    const { operator } = await rpc().revokeOperator({ id: parent.id, reason: "left the team" });
    expect(operator).toMatchObject({ id: parent.id, revokedReason: "left the team" });
    for (const { token } of [parent, child, grandchild]) expect(await stateOf(token)).toContain("revoked");
    expect(await stateOf(beside.token)).toBe("ok");
    expect((await rpc().getOperator({ id: child.id })).operator?.revokedAt).toBeUndefined();
  });

  it("is idempotent: the time and the reason stay those of the first", async () => {
    const { id } = await auth.operator();
    const { operator } = await rpc().revokeOperator({ id, reason: "first" });
    auth.time.now += HOUR;
    expect((await rpc().revokeOperator({ id, reason: "second" })).operator).toEqual(operator);
  });

  it("of oneself is refused, so that the node's first credential cannot be lost", async () => {
    const { id, token } = await auth.operator();
    for (const [by, self] of [
      [token, id],
      [auth.operatorToken, await firstId()],
    ] as const) {
      expect(await refusal(rpc(by).revokeOperator({ id: self }))).toMatchObject({
        code: Code.FailedPrecondition,
        reason: "STATE_CONFLICT",
        message: expect.stringContaining("rotate"),
      });
      expect(await stateOf(by)).toBe("ok");
    }
  });

  it("is refused for credentials above the caller and on other branches, and so is a rotation", async () => {
    const parent = await auth.operator();
    const [own, sibling] = [await auth.operator({ by: parent.token }), await auth.operator({ by: parent.token })];
    for (const id of [await firstId(), parent.id, sibling.id]) {
      const { revokeOperator, rotateOperator } = rpc(own.token);
      for (const call of [revokeOperator, rotateOperator]) {
        expect(await refusal(call({ id }))).toMatchObject({
          code: Code.PermissionDenied,
          reason: "OPERATOR_OUT_OF_LINEAGE",
        });
      }
    }
    expect(await stateOf(sibling.token)).toBe("ok");
  });

  it("at the same instant as a mint leaves none that outlives its parent", async () => {
    for (let round = 0; round < 10; round++) {
      const parent = await auth.operator();
      const [minted] = await Promise.allSettled([
        auth.operator({ by: parent.token }),
        rpc().revokeOperator({ id: parent.id }),
      ]);
      if (minted.status === "fulfilled") expect(await stateOf(minted.value.token)).toContain("revoked");
    }
  });
});

describe("a rotation", () => {
  it("keeps the credential and gives it a new token; the old one works until the grace is over", async () => {
    const { id, token: old } = await auth.operator();
    const before = (await rpc().getOperator({ id })).operator;
    const { operator, token, graceEndsAt } = await rpc(old).rotateOperator({ id, grace: { seconds: 60n } });
    expect(operator).toEqual({ ...before, prefix: token.slice(0, 17) });
    expect(graceEndsAt).toEqual(timestampFromMs(auth.time.now + 60_000));
    expect([await stateOf(old), await stateOf(token)]).toEqual(["ok", "ok"]);
    auth.time.now += 60_000;
    expect([await stateOf(old), await stateOf(token)]).toEqual([expect.stringContaining("replaced"), "ok"]);
  });

  it("without grace leaves only the new token valid: earlier graces end too", async () => {
    const { id, token: first } = await auth.operator();
    const { token: second } = await rpc().rotateOperator({ id });
    const { token: third } = await rpc().rotateOperator({ id, grace: { seconds: 0n } });
    expect([await stateOf(first), await stateOf(second), await stateOf(third)]).toEqual([
      expect.stringContaining("replaced"),
      expect.stringContaining("replaced"),
      "ok",
    ]);
  });

  it("of a revoked or expired one, or below one, is refused", async () => {
    const revoked = await auth.operator();
    const below = await auth.operator({ by: revoked.token });
    await rpc().revokeOperator({ id: revoked.id });
    const expired = await auth.operator({ expiresAtMs: auth.time.now + HOUR });
    auth.time.now += HOUR;
    for (const { id } of [revoked, below, expired]) {
      expect(await refusal(rpc().rotateOperator({ id }))).toMatchObject({
        code: Code.FailedPrecondition,
        reason: "STATE_CONFLICT",
      });
    }
  });

  it.each([-1n, 604_801n])("with a grace of %d s is refused", async (seconds) => {
    const { id } = await auth.operator();
    expect(await refusal(rpc().rotateOperator({ id, grace: { seconds } }))).toMatchObject({
      code: Code.InvalidArgument,
    });
  });

  it("leaves the node set up with the token that it was set up with", async () => {
    const alone = await startAuthUnderTest();
    const { identity } = await alone.as(alone.operatorToken).identity.whoAmI({});
    const id = identity.case === "operator" ? identity.value.operatorId : "";
    await alone.as(alone.operatorToken).operators.rotateOperator({ id, grace: { seconds: 0n } });
    const { bootstrap } = alone.as(INSTALLER_TOKEN);
    const again = await bootstrap.bootstrapNode({ operatorToken: alone.operatorToken });
    expect(again.namespaceId).toBe(alone.namespaceId);
    expect((await alone.verify(alone.operatorToken)).case).toBe("refusal");
    await alone.stop();
  });
});

it("unknown and malformed ids, and ids of other kinds, are all the same NOT_FOUND", async () => {
  const root = await auth.rootKey();
  const ids = [newId("op"), "op_x", root.id, "", "' or 1=1 --", "x".repeat(5000), "op_\u0000"];
  const { getOperator, rotateOperator, revokeOperator } = rpc();
  const answers = await Promise.all(
    ids.flatMap((id) => [getOperator, rotateOperator, revokeOperator].map((call) => refusal(call({ id })))),
  );
  expect(new Set(answers.map(({ code, message }) => `${code} ${message}`)).size).toBe(1);
  expect(answers[0]?.code).toBe(Code.NotFound);
});
