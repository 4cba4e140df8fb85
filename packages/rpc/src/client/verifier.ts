import { createClient, type Transport } from "@connectrpc/connect";
import { VerificationService, type VerifyKeyResponse } from "@routeplane/contracts/auth";
import { Reason } from "@routeplane/contracts/errors";
import { DomainError, type ErrorReason, type Id } from "@routeplane/domain";
import { fromTimestamp } from "../convert.ts";
import { fromConnectError } from "../errors.ts";
import type { Principal } from "../principal.ts";

/** Says whom a token belongs to, by asking the auth service. */
export type KeyVerifier = (token: string) => Promise<Principal>;

/** @param auth transport to the auth service */
export function createVerifier(auth: Transport): KeyVerifier {
  const client = createClient(VerificationService, auth);
  return async (token) => {
    const { outcome } = await client.verifyKey({ token }).catch((error: unknown) => {
      throw fromConnectError(error, "auth");
    });
    return fromProtoOutcome(outcome);
  };
}

function fromProtoOutcome(outcome: VerifyKeyResponse["outcome"]): Principal {
  switch (outcome.case) {
    case "key": {
      const { keyId, namespaceId, accountId, scopes, lineage, expiresAt } = outcome.value;
      return {
        kind: "key",
        keyId: keyId as Id<"key">,
        namespaceId: namespaceId as Id<"ns">,
        accountId: accountId as Id<"acc">,
        scopes,
        lineage: lineage as Id<"key">[],
        expiresAt: fromTimestamp(expiresAt),
      };
    }
    case "operator": {
      const { operatorId, accountId } = outcome.value;
      return { kind: "operator", operatorId: operatorId as Id<"op">, accountId: accountId as Id<"acc"> };
    }
    case "refusal": {
      const { reason, message } = outcome.value;
      throw new DomainError("unauthenticated", Reason[reason] as ErrorReason, message);
    }
    default:
      throw new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "the auth service gave no answer", {
        metadata: { dependency: "auth" },
      });
  }
}
