import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { VerificationService } from "@routeplane/contracts/auth";
import { parseToken } from "@routeplane/credentials";
import { newId } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, POLICY_TOKEN, refusal, startAuthUnderTest } from "./auth-under-test.ts";

const HOUR = 3_600_000;

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const rpc = (token = auth.operatorToken) => auth.as(token).services;
/** `ok`, or the message of the refusal, as the policy service receives it. */
const stateOf = async (token: string) => {
  const { outcome } = await auth.as(POLICY_TOKEN).verification.verifyKey({ token });
  return outcome.case === "service" ? "ok" : outcome.case === "refusal" ? outcome.value.message : outcome.case;
};
const namespace = async (name: string) =>
  (await auth.as(auth.operatorToken).namespaces.createNamespace({ name, account: "default" })).namespace;

describe("a mint", () => {
  it("binds a service credential to namespaces, by name or id, with its scopes", async () => {
    const other = await namespace("bound");
    const request = {
      name: "billing",
      scopes: ["policy:admit", "keys:verify"],
      expiresAt: timestampFromMs(auth.time.now + HOUR),
    };
    const { serviceCredential, token } = await rpc().mintServiceCredential({
      ...request,
      namespaces: ["default", other?.id ?? "", "bound"],
    });
    expect(token).toMatch(/^rps_live_/);
    expect(serviceCredential).toMatchObject({
      name: "billing",
      prefix: token.slice(0, 17),
      scopes: ["keys:verify", "policy:admit"],
      namespaceIds: [auth.namespaceId, other?.id ?? ""].toSorted(),
      allNamespaces: false,
      accountId: "",
      expiresAt: request.expiresAt,
    });
    expect((await rpc().getServiceCredential({ id: serviceCredential?.id ?? "" })).serviceCredential).toEqual(
      serviceCredential,
    );
    const { outcome } = await auth.as(POLICY_TOKEN).verification.verifyKey({ token });
    expect(outcome).toMatchObject({
      case: "service",
      value: { serviceCredentialId: serviceCredential?.id, namespaceIds: serviceCredential?.namespaceIds },
    });
  });

  it.each([
    ["namespaces neither listed nor all", { namespaces: [], allNamespaces: false }, "namespaces"],
    ["namespaces both listed and all", { namespaces: ["default"], allNamespaces: true }, "namespaces"],
    ["no scope", { scopes: [] }, "scopes"],
    ["a scope of keys", { scopes: ["inference:invoke"] }, "scopes"],
    ["a wildcard", { scopes: ["keys:*"] }, "scopes"],
    ["a scope twice", { scopes: ["keys:verify", "keys:verify"] }, "scopes"],
    ["a blank name", { name: " " }, "name"],
    ["an expiry that is past", { expiresAt: timestampFromMs(1) }, "expires_at"],
  ])("with %s is refused", async (_case, fields, field) => {
    const request = { name: newId("svc"), scopes: ["keys:verify"], allNamespaces: true, ...fields };
    const error = await refusal(rpc().mintServiceCredential(request));
    expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "FIELD_INVALID" });
    expect(error.message).toContain(field);
  });

  it("for an unknown or a deleted namespace is NOT_FOUND", async () => {
    await namespace("gone");
    const gone = await auth.as(auth.operatorToken).namespaces.deleteNamespace({ namespace: "gone" });
    for (const unknown of [newId("ns"), gone.namespace?.id ?? "", "gone", "nowhere", "a\u0000b"]) {
      const error = await refusal(auth.service({ namespaces: [unknown] }));
      expect(error).toMatchObject({ code: Code.NotFound, reason: "RESOURCE_NOT_FOUND" });
    }
  });

  it("takes a name once, until its holder is revoked or expired", async () => {
    const first = await auth.service({ name: "once" });
    const taken = { code: Code.AlreadyExists, reason: "NAME_TAKEN" };
    expect(await refusal(auth.service({ name: "once" }))).toMatchObject(taken);
    await rpc().revokeServiceCredential({ id: first.id });
    await auth.service({ name: "once", expiresAtMs: auth.time.now + HOUR });
    expect(await refusal(auth.service({ name: "once" }))).toMatchObject(taken);
    auth.time.now += HOUR;
    await auth.service({ name: "once" });
    expect(await refusal(auth.service({ name: "once" }))).toMatchObject(taken);
  });

  it("needs keys:write of an operator", async () => {
    const { token } = await auth.operator({ scopes: ["operators:*", "namespaces:*"] });
    for (const call of [() => auth.service({ by: token }), () => rpc(token).listServiceCredentials({})]) {
      expect(await refusal(call())).toMatchObject({ reason: "SCOPE_MISSING", infoMetadata: { scope: "keys:write" } });
    }
    const key = await auth.rootKey();
    expect(await refusal(auth.service({ by: key.token }))).toMatchObject({ reason: "OPERATOR_REQUIRED" });
  });

  it("shows its token in the response and nowhere else; the database has a hash", async () => {
    const { id, token } = await auth.service();
    const rotated = await rpc().rotateServiceCredential({ id });
    const rows = await auth.database.within({ node: true }, async (tx) => ({
      services: await tx.selectFrom("service_credentials").selectAll().execute(),
      secrets: await tx.selectFrom("service_credential_secrets").selectAll().execute(),
      audit: await tx.selectFrom("audit_entries").selectAll().execute(),
    }));
    const kept = JSON.stringify(rows);
    for (const each of [token, rotated.token]) {
      const { lookupId, secret } = parseToken(each) ?? expect.fail("malformed token");
      expect(kept).toContain(lookupId);
      for (const text of [kept, auth.logged.join("")]) expect(text).not.toContain(secret);
    }
  });

  it("is audited, and so are rotation and revocation", async () => {
    const { id } = await auth.service();
    await rpc().rotateServiceCredential({ id });
    await rpc().revokeServiceCredential({ id, reason: "unused" });
    const log = await auth.as(auth.operatorToken).audit.listAuditEntries({});
    const entries = log.entries.filter(({ targetId }) => targetId === id);
    expect(entries.map(({ action }) => action)).toEqual([
      "service_credential.revoke",
      "service_credential.rotate",
      "service_credential.create",
    ]);
    expect(entries[0]).toMatchObject({ actorType: "operator", after: { revoked_reason: "unused" } });
  });
});

describe("an operator that is limited to an account", () => {
  it("mints for namespaces of that account, and sees only the credentials of that account", async () => {
    const operators = auth.as(auth.operatorToken);
    const { account } = await operators.accounts.createAccount({ name: "team" });
    const own = await operators.namespaces.createNamespace({ name: "own", account: "team" });
    const limited = await auth.operator({ account: "team" });
    const foreign = await auth.service({ name: "shared" });
    const minted = await auth.service({ by: limited.token, name: "shared", namespaces: ["own"] });
    expect((await rpc(limited.token).listServiceCredentials({})).serviceCredentials).toMatchObject([
      { id: minted.id, accountId: account?.id, namespaceIds: [own.namespace?.id] },
    ]);
    expect(await refusal(auth.service({ by: limited.token }))).toMatchObject({ reason: "ACCOUNT_LIMITED" });
    const unknown = await refusal(auth.service({ by: limited.token, namespaces: [newId("ns")] }));
    const other = await refusal(auth.service({ by: limited.token, namespaces: [auth.namespaceId] }));
    expect(other.message).toBe(unknown.message);
    expect(other).toMatchObject({ code: Code.NotFound, reason: "RESOURCE_NOT_FOUND" });
    for (const call of [
      (id: string) => rpc(limited.token).getServiceCredential({ id }),
      (id: string) => rpc(limited.token).rotateServiceCredential({ id }),
      (id: string) => rpc(limited.token).revokeServiceCredential({ id }),
    ]) {
      const [ofForeign, ofUnknown] = [await refusal(call(foreign.id)), await refusal(call(newId("svc")))];
      expect(ofForeign).toMatchObject({ code: Code.NotFound, message: ofUnknown.message });
    }
    expect(await stateOf(foreign.token)).toBe("ok");
  });
});

describe("a list", () => {
  it("has every service credential, oldest first, in pages", async () => {
    const made = [await auth.service(), await auth.service(), await auth.service()].map(({ id }) => id);
    const all: string[] = [];
    let pageToken = "";
    do {
      const page = await rpc().listServiceCredentials({ pageSize: 2, pageToken });
      all.push(...page.serviceCredentials.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(all.slice(-3)).toEqual(made);
    expect(all).toEqual(all.toSorted());
    expect(new Set(all).size).toBe(all.length);
  });
});

describe("a verification by a service credential", () => {
  const bytesOf = async (token: string, verified: string) =>
    JSON.stringify((await auth.as(token).verification.verifyKey({ token: verified })).outcome);

  it("returns the same result for keys of its namespaces as the gateway gets", async () => {
    const { token } = await auth.service({ namespaces: ["default"] });
    const key = await auth.rootKey();
    const { outcome } = await auth.as(token).verification.verifyKey({ token: key.token });
    expect(outcome).toEqual(await auth.verify(key.token));
    expect(outcome.case).toBe("key");
    await auth.as(key.token).keys.revokeKey({ id: key.id });
    expect(await bytesOf(token, key.token)).toContain("was revoked");
  });

  it("reveals nothing of another namespace: its keys, active or not, look like unknown tokens", async () => {
    await namespace("elsewhere");
    const { token } = await auth.service({ namespaces: ["default"] });
    const everywhere = await auth.service();
    const unknownKey = parseToken((await auth.rootKey()).token) ?? expect.fail("malformed token");
    expect(unknownKey.kind).toBe("key");
    const [active, revoked] = [await auth.rootKey("elsewhere"), await auth.rootKey("elsewhere")];
    await auth.as(revoked.token).keys.revokeKey({ id: revoked.id });
    expect(await bytesOf(everywhere.token, revoked.token)).toContain("was revoked");
    const ofUnknown = await bytesOf(token, "junk");
    for (const verified of [active.token, revoked.token, auth.operatorToken, everywhere.token, token]) {
      expect(await bytesOf(token, verified)).toBe(ofUnknown);
    }
    expect(await bytesOf(everywhere.token, active.token)).toContain(active.id);
    for (const verified of [auth.operatorToken, token]) {
      expect(await bytesOf(everywhere.token, verified)).toBe(ofUnknown);
    }
    await auth.as(auth.operatorToken).namespaces.suspendNamespace({ namespace: "elsewhere" });
    expect(await bytesOf(token, active.token)).toBe(ofUnknown);
    expect(await bytesOf(everywhere.token, active.token)).toContain("suspended");
  });

  it("needs the scope keys:verify, and is for no key or operator", async () => {
    const { token } = await auth.service({ scopes: ["policy:admit"] });
    const call = (by: string) => auth.as(by).verification.verifyKey({ token: "junk" });
    const denied = { code: Code.PermissionDenied, infoMetadata: { scope: "keys:verify" } };
    expect(await refusal(call(token))).toMatchObject({ ...denied, reason: "SCOPE_MISSING" });
    for (const by of [(await auth.rootKey()).token, auth.operatorToken])
      expect(await refusal(call(by))).toMatchObject({ ...denied, reason: "SERVICE_REQUIRED" });
  });
});

it("is neither a key nor an operator: every other method refuses it, and says what it is for", async () => {
  const { token } = await auth.service();
  const { keys, operators, identity, services, verification } = auth.as(token);
  for (const call of [
    () => keys.listKeys({}),
    () => operators.listOperators({}),
    () => identity.whoAmI({}),
    () => services.listServiceCredentials({}),
  ]) {
    const error = await refusal(call());
    expect(error).toMatchObject({ code: Code.Unauthenticated, reason: "CREDENTIAL_INVALID" });
    expect(error.message).toContain("only verifies keys and admits requests");
  }
  expect(await refusal(verification.listRevokedKeys({}))).toMatchObject({ reason: "INTERNAL_ONLY" });
});

describe("a service credential ends", () => {
  it("with its revocation, although it is cached, once and for ever", async () => {
    const { id, token } = await auth.service();
    const verify = () => auth.as(token).verification.verifyKey({ token: "junk" });
    await verify();
    const revoked = await rpc().revokeServiceCredential({ id, reason: "leaked" });
    expect(revoked.serviceCredential).toMatchObject({ id, revokedReason: "leaked" });
    expect(await refusal(verify())).toMatchObject({ code: Code.Unauthenticated, reason: "CREDENTIAL_REVOKED" });
    expect((await rpc().revokeServiceCredential({ id, reason: "again" })).serviceCredential).toEqual(
      revoked.serviceCredential,
    );
    expect(await refusal(rpc().rotateServiceCredential({ id }))).toMatchObject({ reason: "STATE_CONFLICT" });
  });

  it("at its expiry", async () => {
    const { token } = await auth.service({ expiresAtMs: auth.time.now + HOUR });
    expect(await stateOf(token)).toBe("ok");
    auth.time.now += HOUR;
    expect(await stateOf(token)).toBe("this service credential has expired");
  });

  it("not with a rotation: both tokens do the same until the grace is over, or at once with a grace of 0", async () => {
    const { id, token } = await auth.service({ namespaces: ["default"] });
    const rotated = await rpc().rotateServiceCredential({ id, grace: { seconds: 60n } });
    const { outcome } = await auth.as(POLICY_TOKEN).verification.verifyKey({ token });
    expect(outcome).toMatchObject({
      value: { serviceCredentialId: id, scopes: ["keys:verify", "policy:admit"], expiresAt: rotated.graceEndsAt },
    });
    auth.time.now += 60_000;
    expect(await stateOf(token)).toContain("its grace is over");
    const last = await rpc().rotateServiceCredential({ id, grace: { seconds: 0n } });
    expect(await stateOf(rotated.token)).toContain("its grace is over");
    expect(await stateOf(last.token)).toBe("ok");
  });
});

describe("a watch by a service credential", () => {
  /** Opens watches by a replica that has its own subscription to the changes. */
  async function watcher(token: string) {
    const { watchChanges } = createClient(VerificationService, await auth.replica(undefined, undefined, token));
    /** Messages until the stream ends. @param during called at the first message */
    return async (during: () => Promise<unknown>) => {
      const messages: { sequence: bigint; subjectId: string }[] = [];
      let done: Promise<unknown> | undefined;
      for await (const { sequence, subjectId } of watchChanges({})) {
        messages.push({ sequence, subjectId });
        done ??= during();
      }
      await done;
      return messages;
    };
  }

  it("ends when the credential is revoked, and cannot begin again", async () => {
    const { id, token } = await auth.service();
    const key = await auth.rootKey();
    const watch = await watcher(token);
    const messages = await eventually(() =>
      watch(async () => {
        await auth.as(key.token).keys.revokeKey({ id: key.id });
        await rpc().revokeServiceCredential({ id });
      }),
    );
    expect(messages.map(({ subjectId }) => subjectId)).toContain(key.id);
    expect(await refusal(watch(async () => {}))).toMatchObject({ reason: "CREDENTIAL_REVOKED" });
  });

  it("hides ids from a credential that is bound to namespaces, whose receiver treats each change as missed", async () => {
    const { id, token } = await auth.service({ namespaces: ["default"] });
    const key = await auth.rootKey();
    const watch = await watcher(token);
    const messages = await eventually(() =>
      watch(async () => {
        await auth.as(key.token).keys.revokeKey({ id: key.id });
        await rpc().revokeServiceCredential({ id });
      }),
    );
    expect(messages.map(({ subjectId }) => subjectId).filter((subject) => subject !== "")).toEqual([]);
    const [first, ...later] = messages;
    expect(later.some(({ sequence }) => sequence > (first?.sequence ?? 0n))).toBe(true);
  });
});
