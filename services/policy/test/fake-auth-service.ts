import { createRouterTransport } from "@connectrpc/connect";
import { VerificationService } from "@routeplane/contracts/auth";
import { Reason } from "@routeplane/contracts/errors";
import { mintToken } from "@routeplane/credentials";
import { type Id, newId, notFound } from "@routeplane/domain";
import { toConnectError, toTimestamp } from "@routeplane/rpc";

interface TestKey {
  readonly id: Id<"key">;
  readonly namespaceId: Id<"ns">;
  readonly lineage: readonly Id<"key">[];
  readonly scopes: readonly string[];
  readonly token: string;
}

/** Fake of the auth service, behind its contract: knows the keys and operators that a test adds. */
export function createFakeAuthService() {
  const byToken = new Map<string, TestKey>();
  const operators = new Map<string, { operatorId: string; accountId: string; scopes: string[]; lineage: string[] }>();
  const revoked = new Map<Id<"key">, { namespaceId: string; keyId: string; at: Date; acknowledged: boolean }>();
  const down = { value: false };
  const transport = createRouterTransport(({ service }) => {
    service(VerificationService, {
      verifyKey({ token }) {
        if (down.value) throw new Error("the auth service is down");
        if (token.startsWith("rpo_")) return { outcome: { case: "operator", value: operators.get(token) ?? {} } };
        const key = byToken.get(token);
        if (key === undefined) {
          const value = { reason: Reason.CREDENTIAL_INVALID, message: "invalid API key" };
          return { outcome: { case: "refusal", value } };
        }
        const { id: keyId, namespaceId, lineage, scopes } = key;
        const value = { keyId, namespaceId, accountId: newId("acc"), lineage: [...lineage], scopes: [...scopes] };
        return { outcome: { case: "key", value } };
      },
      resolveKey({ namespaceId, keyId }) {
        if (down.value) throw new Error("the auth service is down");
        const key = [...byToken.values()].find((each) => each.id === keyId && each.namespaceId === namespaceId);
        if (key === undefined) throw toConnectError(notFound());
        return { lineage: [...key.lineage], revoked: key.lineage.some((id) => revoked.has(id)) };
      },
      listRevokedKeys({ afterKeyId }) {
        if (down.value) throw new Error("the auth service is down");
        const listed = [...revoked.values()].filter(({ acknowledged, keyId }) => !acknowledged && keyId > afterKeyId);
        const page = listed.toSorted((a, b) => (a.keyId < b.keyId ? -1 : 1)).slice(0, 100);
        const origin = {
          actorType: "operator",
          actorId: "op_revoker",
          requestId: "req_of-revocation",
          address: "192.0.2.1",
        };
        const toKey = ({ at, namespaceId, keyId }: (typeof page)[number]) =>
          Object.assign({ namespaceId, keyId, revokedAt: toTimestamp(at) }, origin);
        return { keys: page.map(toKey) };
      },
      acknowledgeRevokedKeys({ keyIds }) {
        for (const [id, key] of revoked) if (keyIds.includes(id)) key.acknowledged = true;
        return {};
      },
    });
  });
  return {
    transport,
    authDown: down,
    /** Revokes a key, by default now. */
    revoke(keyId: Id<"key">, at = new Date()): void {
      const { namespaceId = "" } = [...byToken.values()].find(({ id }) => id === keyId) ?? {};
      revoked.set(keyId, { namespaceId, keyId, at, acknowledged: false });
    },
    /** Revoked keys that are acknowledged. */
    acknowledged: () => [...revoked.values()].flatMap(({ keyId, acknowledged }) => (acknowledged ? [keyId] : [])),
    /** Adds an operator, of the whole node unless it is limited to an account, and returns its token. */
    operator(scopes: string[], accountId: Id<"acc"> | "" = ""): string {
      const [token, operatorId] = [mintToken("operator", "test"), newId("op")];
      operators.set(token, { operatorId, accountId, scopes, lineage: [operatorId] });
      return token;
    },
    /** Adds a key: a root key, or a sub-key of `parent`. */
    key(namespaceId: Id<"ns">, parent?: TestKey, scopes: readonly string[] = ["policy:*"]): TestKey {
      const id = newId("key");
      const key = {
        id,
        namespaceId,
        lineage: [...(parent?.lineage ?? []), id],
        scopes,
        token: mintToken("key", "test"),
      };
      byToken.set(key.token, key);
      return key;
    },
  };
}
