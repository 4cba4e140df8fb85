import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { parseToken } from "@routeplane/credentials";
import { newId, parseId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, GATEWAY_TOKEN, startAuthUnderTest } from "./auth-under-test.ts";

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const entriesOf = async (token: string, filter: object = {}) =>
  (await auth.as(token).audit.listAuditEntries({ filter, pageSize: 1000 })).entries;

describe("the audit log", () => {
  it("records who minted and revoked a key, the changed values, and the request id", async () => {
    const root = await auth.rootKey();
    const minted = await auth.as(root.token).keys.mintKey({ name: "agent", scopes: ["keys:read"] });
    const id = minted.key?.id ?? "";
    const headers = {
      "x-request-id": "the-call",
      "x-routeplane-client-address": "192.0.2.7",
      "x-routeplane-relay": GATEWAY_TOKEN,
    };
    await auth.as(root.token).keys.revokeKey({ id }, { headers });
    const [revoked, created] = await entriesOf(root.token, { targetId: id });
    expect(created).toMatchObject({
      action: "key.create",
      actorType: "api_key",
      actorId: root.id,
      namespaceId: auth.namespaceId,
      after: { name: "agent", scopes: ["keys:read"], parent_id: root.id },
    });
    expect(created?.before).toBeUndefined();
    expect(revoked).toMatchObject({
      action: "key.revoke",
      before: { revoked_at: null },
      after: { revoked_at: expect.stringMatching(/^\d{4}-/) as unknown },
      requestId: "the-call",
      address: "192.0.2.7",
    });
    expect(parseId("aud", revoked?.id ?? "")).toBeDefined();
  });

  it("records the operator for its changes, and shows them to the operator and to the namespace", async () => {
    const operator = auth.as(auth.operatorToken);
    const { namespace } = await operator.namespaces.createNamespace({ name: "audited", account: "default" });
    const root = await auth.rootKey("audited");
    await operator.namespaces.suspendNamespace({ namespace: "audited" });
    await operator.namespaces.resumeNamespace({ namespace: "audited" });
    const seen = await entriesOf(auth.operatorToken);
    const here = seen.filter(({ namespaceId }) => namespaceId === namespace?.id);
    expect(here.map(({ action, actorType }) => [action, actorType])).toEqual([
      ["namespace.resume", "operator"],
      ["namespace.suspend", "operator"],
      ["key.create", "operator"],
      ["namespace.create", "operator"],
    ]);
    expect(await entriesOf(root.token)).toEqual(here);
  });

  it("filters by a namespace in the operator's reach, and returns nothing for any other id", async () => {
    const operator = auth.as(auth.operatorToken);
    const { namespace } = await operator.namespaces.createNamespace({ name: "filtered", account: "default" });
    const root = await auth.rootKey("filtered");
    await auth.rootKey();
    const namespaceId = namespace?.id ?? "";
    const seen = await entriesOf(auth.operatorToken, { namespaceId });
    expect(seen.map(({ action, targetId }) => [action, targetId])).toEqual([
      ["key.create", root.id],
      ["namespace.create", namespaceId],
    ]);
    const { account } = await operator.accounts.createAccount({ name: "audit-apart" });
    const apart = await auth.operator({ account: account?.id ?? "" });
    for (const id of [namespaceId, newId("ns"), "ns_x", "' or 1=1 --"]) {
      expect(await entriesOf(apart.token, { namespaceId: id })).toEqual([]);
    }
    expect((await entriesOf(apart.token)).map(({ targetId }) => targetId)).toEqual([apart.id, account?.id]);
  });

  it("shows a key nothing of another namespace", async () => {
    await auth.as(auth.operatorToken).namespaces.createNamespace({ name: "foreign", account: "default" });
    const [own, foreign] = [await auth.rootKey(), await auth.rootKey("foreign")];
    expect(await entriesOf(foreign.token, { targetId: own.id })).toEqual([]);
    const entries = await entriesOf(own.token);
    expect(new Set(entries.map(({ namespaceId }) => namespaceId))).toEqual(new Set([auth.namespaceId]));
  });

  it("holds no token, no secret and no hash of one", async () => {
    const root = await auth.rootKey();
    const rows = await auth.database.within({ namespaceId: auth.namespaceId }, async (tx) => ({
      log: JSON.stringify(await tx.selectFrom("audit_entries").selectAll().execute()),
      hashes: (await tx.selectFrom("key_secrets").selectAll().execute()).map((row) => row.secret_hash.toString("hex")),
    }));
    expect(rows.log).toContain(root.id);
    expect(rows.log).not.toContain(parseToken(root.token)?.secret);
    for (const hash of rows.hashes) expect(rows.log).not.toContain(hash);
  });

  it("has no entry of a change that was rolled back", async () => {
    const root = await auth.rootKey();
    const undone = auth.database.within({ namespaceId: auth.namespaceId }, async (tx) => {
      await sql`update keys set name = 'undone' where id = ${root.id}`.execute(tx);
      const { rows } = await sql`select from audit_entries where target_id = ${root.id}`.execute(tx);
      expect(rows).toHaveLength(2);
      throw new Error("undone");
    });
    await expect(undone).rejects.toThrow("undone");
    expect(await entriesOf(root.token, { targetId: root.id })).toHaveLength(1);
  });

  it("cannot be changed or deleted by the role of the process", async () => {
    await auth.rootKey();
    const within = <T>(statement: ReturnType<typeof sql<T>>) =>
      auth.database.within({ namespaceId: auth.namespaceId }, (tx) => statement.execute(tx));
    await expect(within(sql`update audit_entries set action = 'x'`)).rejects.toThrow(/permission denied/);
    await expect(within(sql`delete from audit_entries`)).rejects.toThrow(/permission denied/);
    await expect(within(sql`truncate audit_entries`)).rejects.toThrow(/permission denied/);
  });

  it("has no entry for the use of a key", async () => {
    const root = await auth.rootKey();
    auth.time.now += 61_000;
    await auth.as(root.token).identity.whoAmI({});
    expect((await entriesOf(root.token, { targetId: root.id })).map(({ action }) => action)).toEqual(["key.create"]);
  });
});

describe("listing", () => {
  it("pages through every entry once, newest first, and filters", async () => {
    const root = await auth.rootKey();
    for (const name of ["a", "b", "c"]) await auth.as(root.token).keys.mintKey({ name, scopes: ["keys:read"] });
    const all = (await entriesOf(root.token)).map(({ id }) => id);
    expect(all).toEqual(all.toSorted().toReversed());
    const paged: string[] = [];
    let pageToken = "";
    do {
      const page = await auth.as(root.token).audit.listAuditEntries({ pageSize: 2, pageToken });
      paged.push(...page.entries.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(paged).toEqual(all);
    expect(await entriesOf(root.token, { actorId: root.id, action: "key.create" })).toHaveLength(3);
    expect(await entriesOf(root.token, { actorId: root.id, action: "key.update" })).toEqual([]);
  });

  it("refuses an empty range of time, because an empty log would look the same", async () => {
    const root = await auth.rootKey();
    const at = timestampFromDate(new Date());
    const error = ConnectError.from(
      await entriesOf(root.token, { from: at, to: at }).catch((reason: unknown) => reason),
    );
    expect(error).toMatchObject({ code: Code.InvalidArgument });
    expect(error.message).toContain("filter.from: must be before filter.to");
  });

  it("needs audit:read", async () => {
    const root = await auth.rootKey("default", ["keys:*"]);
    const error: unknown = await auth
      .as(root.token)
      .audit.listAuditEntries({})
      .catch((reason: unknown) => reason);
    expect(ConnectError.from(error)).toMatchObject({ code: Code.PermissionDenied });
    expect(String(error)).toContain("audit:read");
  });
});
