import { Code } from "@connectrpc/connect";
import { ALL_OPERATOR_SCOPES, ALL_SCOPES } from "@routeplane/credentials";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, CONSOLE_TOKEN, CONSOLE_URL, refusal, startAuthUnderTest } from "./auth-under-test.ts";

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const codeOf = async (token: string, namespace = "") => auth.as(token).sessions.createSignInCode({ namespace });
const redeem = (code: string) => auth.as(CONSOLE_TOKEN).sessions.redeemSignInCode({ code });
const unknown = async (code: string) => {
  const error = await refusal(redeem(code));
  expect(error).toMatchObject({ code: Code.NotFound, reason: "RESOURCE_NOT_FOUND" });
  return error.rawMessage;
};

describe("a sign-in code", () => {
  it("opens one session of the key that made it, with all its scopes", async () => {
    const root = await auth.rootKey();
    const { code, expiresAt, consoleUrl } = await codeOf(root.token);
    expect(consoleUrl).toBe(CONSOLE_URL);
    expect(Number(expiresAt?.seconds)).toBe(Math.floor((auth.time.now + 60_000) / 1_000));
    const { session, token } = await redeem(code);
    expect(session).toMatchObject({ keyId: root.id, namespaceName: "default", scopes: ALL_SCOPES, operatorId: "" });
    expect(await auth.verify(token)).toMatchObject({ case: "key", value: { sessionId: session?.id } });
    await unknown(code);
  });

  it("opens a session of an operator credential, in a namespace or in none", async () => {
    const operator = await auth.operator();
    const none = await redeem((await codeOf(operator.token)).code);
    expect(none.session).toMatchObject({ operatorId: operator.id, namespaceId: "", scopes: ALL_OPERATOR_SCOPES });
    const inside = await redeem((await codeOf(operator.token, "default")).code);
    const expected = { operatorId: operator.id, namespaceId: auth.namespaceId, canExchange: true, scopes: ALL_SCOPES };
    expect(inside.session).toMatchObject(expected);
  });

  it("mints the key of an operator credential in a namespace when it is used, not before", async () => {
    const { namespace } = await auth.as(auth.operatorToken).namespaces.createNamespace({ name: "looked-at" });
    const keysThere = async () => {
      const { token } = await auth.rootKey("looked-at");
      return (await auth.as(token).keys.listKeys({})).keys.filter(({ name }) => name.startsWith("console of "));
    };
    const { code } = await codeOf(auth.operatorToken, "looked-at");
    expect(await keysThere()).toEqual([]);
    const { session } = await redeem(code);
    expect(session?.namespaceId).toBe(namespace?.id);
    expect((await keysThere()).map(({ id }) => id)).toEqual([session?.keyId]);
  });

  it("opens one session when it is used several times at once", async () => {
    const { code } = await codeOf((await auth.rootKey()).token);
    const settled = await Promise.allSettled(Array.from({ length: 8 }, () => redeem(code)));
    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("is unknown from 60 seconds on", async () => {
    const { token } = await auth.rootKey();
    const [late, timely] = [await codeOf(token), await codeOf(token)];
    auth.time.now += 59_999;
    await redeem(timely.code);
    auth.time.now += 1;
    await unknown(late.code);
  });

  it("is refused like an unknown one if its credential may not open the session any more", async () => {
    const messages = new Set([await unknown(""), await unknown("x".repeat(43)), await unknown("\u0000")]);
    const root = await auth.rootKey();
    const sub = await auth.subKey(root.token);
    const ofRevoked = await codeOf(sub.token);
    await auth.as(root.token).keys.revokeKey({ id: sub.id });
    messages.add(await unknown(ofRevoked.code));
    const operator = await auth.operator();
    const ofOperator = await codeOf(operator.token, "default");
    await auth.as(auth.operatorToken).operators.revokeOperator({ id: operator.id });
    messages.add(await unknown(ofOperator.code));
    await auth.as(auth.operatorToken).namespaces.createNamespace({ name: "leaving" });
    const inDeleted = await codeOf(auth.operatorToken, "leaving");
    await auth.as(auth.operatorToken).namespaces.deleteNamespace({ namespace: "leaving" });
    messages.add(await unknown(inDeleted.code));
    expect(messages.size).toBe(1);
  });

  it("is one of at most 10 open codes of its credential", async () => {
    const { token } = await auth.rootKey();
    const made = await Promise.allSettled(Array.from({ length: 14 }, () => codeOf(token)));
    expect(made.filter(({ status }) => status === "fulfilled")).toHaveLength(10);
    const error = await refusal(codeOf(token));
    expect(error).toMatchObject({ code: Code.ResourceExhausted, reason: "LIMIT_REACHED" });
    auth.time.now += 60_000;
    await codeOf(token);
  });

  it("can be redeemed by the console only", async () => {
    const { token } = await auth.rootKey();
    const { code } = await codeOf(token);
    for (const by of [token, auth.operatorToken]) {
      expect(await refusal(auth.as(by).sessions.redeemSignInCode({ code }))).toMatchObject({ reason: "INTERNAL_ONLY" });
    }
    await redeem(code);
  });
});
