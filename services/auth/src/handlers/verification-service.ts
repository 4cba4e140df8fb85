import type { ServiceImpl } from "@connectrpc/connect";
import type { VerificationService } from "@routeplane/contracts/auth";
import { notFound, requireId } from "@routeplane/domain";
import {
  type ChangeFeed,
  type LocalVerifier,
  principalOf,
  toTimestamp,
  type VerificationResult,
} from "@routeplane/rpc";
import { expiryOf, isRevoked } from "../domain/grant-rules.ts";
import type { LimitedKeyStore, KeyStore, RevocationLog } from "../domain/ports.ts";
import { callerTokenOf } from "./caller.ts";
import { toProtoRevokedKey, toProtoVerification, visibleTo } from "./convert-verification.ts";
import type { WatchForService } from "./watch-for-service.ts";

/** Page size of ListRevokedKeys, as documented in the contract. */
const REVOKED_PAGE_SIZE = 100;

export interface VerificationDependencies {
  readonly verifier: LocalVerifier;
  readonly keys: KeyStore;
  readonly limitedKeys: LimitedKeyStore;
  readonly changes: ChangeFeed;
  readonly watchForService: WatchForService;
  readonly revocations: RevocationLog;
}

export function verificationService({
  verifier,
  keys,
  limitedKeys,
  changes,
  watchForService,
  revocations,
}: VerificationDependencies): ServiceImpl<typeof VerificationService> {
  return {
    // Without a promise if the result is cached: this is the hottest method of the node.
    verifyKey({ token, knownChange }, context) {
      const caller = principalOf(context);
      const respond = (result: VerificationResult) => toProtoVerification(visibleTo(caller, token, result));
      const result = verifier.verify(token, knownChange);
      return result instanceof Promise ? result.then(respond) : respond(result);
    },

    async *watchChanges(_request, context) {
      const caller = principalOf(context);
      if (caller.kind === "service") return yield* watchForService(caller, callerTokenOf(context), context.signal);
      for await (const { sequence, subjectId = "" } of changes.watch(context.signal)) yield { sequence, subjectId };
    },

    async resolveKey({ namespaceId, keyId }) {
      const lineage = await keys.findLineage(requireId("ns", namespaceId), requireId("key", keyId));
      if (lineage === undefined) throw notFound();
      const expiry = expiryOf(lineage);
      const known = { lineage: lineage.map(({ id }) => id), revoked: isRevoked(lineage) };
      return expiry === undefined ? known : { ...known, expiresAt: toTimestamp(expiry) };
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
