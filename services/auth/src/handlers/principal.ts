import { DomainError } from "@routeplane/domain";
import type { Principal } from "@routeplane/rpc";
import type { Verification } from "../domain/verification.ts";

/** Who calls this service, from its own verification. @throws DomainError UNAUTHENTICATED for a refused token. */
export function toPrincipal(verification: Verification): Principal {
  switch (verification.outcome) {
    case "key": {
      const { key, scopes, expiresAt, graceEndsAt } = verification;
      const { id: keyId, namespaceId, accountId, lineage } = key;
      return { kind: "key", keyId, namespaceId, accountId, scopes, lineage, expiresAt, graceEndsAt };
    }
    case "operator": {
      const { operator, scopes, expiresAt, graceEndsAt } = verification;
      const { id: operatorId, accountId, lineage } = operator;
      return { kind: "operator", operatorId, accountId, scopes, lineage, expiresAt, graceEndsAt };
    }
    case "refused":
      throw new DomainError("unauthenticated", verification.reason, verification.message);
  }
}
