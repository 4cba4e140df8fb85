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

/** Fake of the auth service that implements its contract: knows the keys and operators that a test adds. */
export function createFakeAuthService() {
  const byToken = new Map<string, TestKey>();
  const operators = new Map<string, { operatorId: string; accountId: string; scopes: string[]; lineage: string[] }>();
  const services = new Map<
    string,
    { serviceCredentialId: string; scopes: string[]; namespaceIds: string[]; allNamespaces: boolean }
  >();
  const revoked = new Map<Id<"key">, { namespaceId: string; keyId: string; at: Date; acknowledged: boolean }>();
  const expiries = new Map<Id<"key">, Date>();
  const mints = new Map<string, { namespaceId: string; lineage: readonly Id<"key">[]; actorId: string }>();
  const down = { value: false };
  const transport = createRouterTransport(({ service }) => {
    service(VerificationService, {
      verifyKey({ token }) {
        if (down.value) throw new Error("the auth service is down");
        if (token.startsWith("rpo_")) return { outcome: { case: "operator", value: operators.get(token) ?? {} } };
        const service = services.get(token);
        if (service !== undefined) return { outcome: { case: "service", value: service } };
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
        const [expiry] = key.lineage.flatMap((id) => expiries.get(id) ?? []);
        const known = { lineage: [...key.lineage], revoked: key.lineage.some((id) => revoked.has(id)) };
        return expiry === undefined ? known : { ...known, expiresAt: toTimestamp(expiry) };
      },
      resolveMint({ namespaceId, keyId }) {
        if (down.value) throw new Error("the auth service is down");
        const mint = mints.get(keyId);
        if (mint === undefined || mint.namespaceId !== namespaceId) throw toConnectError(notFound());
        const origin = { actorType: "api_key", actorId: mint.actorId, requestId: "req_of-mint", address: "192.0.2.7" };
        return { lineage: [...mint.lineage], ...origin };
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
    /** Lets a key expire at a time. At most one key of a lineage has an expiry. */
    expire: (keyId: Id<"key">, at: Date) => expiries.set(keyId, at),
    /** Begins the mint of a key, by the key or operator credential `actorId`, and returns its id. */
    mint(namespaceId: Id<"ns">, actorId: string, above: readonly Id<"key">[] = []): Id<"key"> {
      const id = newId("key");
      mints.set(id, { namespaceId, lineage: [...above, id], actorId });
      return id;
    },
    /** Ends a key whose mint began, by default now. */
    endMint(keyId: Id<"key">, at = new Date()): void {
      const { namespaceId = "" } = mints.get(keyId) ?? {};
      mints.delete(keyId);
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
    /** Adds a service credential, for all namespaces unless some are given, and returns its token. */
    service(namespaceIds: Id<"ns">[] = [], scopes: string[] = ["policy:admit"]): string {
      const token = mintToken("service", "test");
      const allNamespaces = namespaceIds.length === 0;
      services.set(token, { serviceCredentialId: newId("svc"), scopes, namespaceIds, allNamespaces });
      return token;
    },
    /** Makes the token of a service credential unknown. */
    endService: (token: string) => services.delete(token),
    operatorIdOf: (token: string) => operators.get(token)?.operatorId ?? "",
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
