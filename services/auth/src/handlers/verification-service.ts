import type { ServiceImpl } from "@connectrpc/connect";
import type { VerificationService } from "@routeplane/contracts/auth";
import { notFound, requireId } from "@routeplane/domain";
import type { ChangeFeed, LocalVerifier } from "@routeplane/rpc";
import { isRevoked } from "../domain/grant-rules.ts";
import type { LimitedKeyStore, KeyStore, RevocationLog } from "../domain/ports.ts";
import { toProtoRevokedKey, toProtoVerification } from "./convert-verification.ts";

/** Page of ListRevokedKeys, as its contract says. */
const REVOKED_PAGE_SIZE = 100;

export function verificationService(
  verifier: LocalVerifier,
  keys: KeyStore,
  limitedKeys: LimitedKeyStore,
  changes: ChangeFeed,
  revocations: RevocationLog,
): ServiceImpl<typeof VerificationService> {
  return {
    // Without a promise where the result is cached: this is the hottest method of the node.
    verifyKey({ token, knownChange }) {
      const result = verifier.verify(token, knownChange);
      return result instanceof Promise ? result.then(toProtoVerification) : toProtoVerification(result);
    },

    async *watchChanges(_request, { signal }) {
      for await (const { sequence, subjectId = "" } of changes.watch(signal)) yield { sequence, subjectId };
    },

    async resolveKey({ namespaceId, keyId }) {
      const lineage = await keys.findLineage(requireId("ns", namespaceId), requireId("key", keyId));
      if (lineage === undefined) throw notFound();
      return { lineage: lineage.map(({ id }) => id), revoked: isRevoked(lineage) };
    },

    async resolveMint({ namespaceId, keyId }) {
      const mint = await limitedKeys.findMint(requireId("ns", namespaceId), requireId("key", keyId));
      if (mint === undefined) throw notFound();
      return { lineage: [...mint.lineage], ...mint.origin };
    },

    async listRevokedKeys({ afterNamespaceId: namespaceId, afterKeyId: keyId }) {
      return { keys: (await revocations.list({ namespaceId, keyId }, REVOKED_PAGE_SIZE)).map(toProtoRevokedKey) };
    },

    async acknowledgeRevokedKeys({ keyIds }) {
      await revocations.acknowledge(keyIds.map((id) => requireId("key", id)));
      return {};
    },
  };
}
