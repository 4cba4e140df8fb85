import { parseServiceScopes, type ServiceScope } from "@routeplane/credentials";
import { DomainError, type Id, invalidField, newId } from "@routeplane/domain";
import { isExpired, isRevoked, requireFuture } from "../grant-rules.ts";

/** A service credential, without its secret. */
export interface ServiceCredential {
  readonly id: Id<"svc">;
  /** Account to which the operator that minted it is limited; undefined if it is not limited. */
  readonly accountId: Id<"acc"> | undefined;
  /** Unique among active ones of the account, or of the node. */
  readonly name: string;
  /** Start of the token, by which people recognise it. */
  readonly prefix: string;
  readonly scopes: readonly ServiceScope[];
  /** Namespaces that it is permanently bound to; undefined for all of the node. */
  readonly namespaceIds: readonly Id<"ns">[] | undefined;
  readonly createdAt: Date;
  readonly expiresAt: Date | undefined;
  readonly revokedAt: Date | undefined;
  /** Reason given at the revocation, verbatim. */
  readonly revokedReason: string | undefined;
}

/** Properties of a service credential to mint. */
export interface ServiceCredentialRequest {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly expiresAt: Date | undefined;
}

/** Owner and reach of a service credential to mint. */
export type ServiceCredentialBinding = Pick<ServiceCredential, "accountId" | "namespaceIds">;

/** @throws DomainError INVALID_ARGUMENT */
export function newServiceCredential(
  { accountId, namespaceIds }: ServiceCredentialBinding,
  { name, scopes, expiresAt }: ServiceCredentialRequest,
  prefix: string,
  now: number,
): ServiceCredential {
  const parsed = parseServiceScopes(scopes);
  if ("fault" in parsed) throw invalidField("scopes", parsed.fault);
  if (expiresAt !== undefined) requireFuture(expiresAt, now);
  return {
    id: newId("svc"),
    accountId,
    name,
    prefix,
    scopes: parsed.scopes,
    namespaceIds,
    createdAt: new Date(now),
    expiresAt,
    revokedAt: undefined,
    revokedReason: undefined,
  };
}

/** The credential, with the prefix of its new token. @throws DomainError FAILED_PRECONDITION if it is revoked or has expired */
export function rotatedServiceCredential(service: ServiceCredential, prefix: string, now: number): ServiceCredential {
  const revoked = isRevoked([service]);
  if (!revoked && !isExpired([service], now)) return { ...service, prefix };
  const message = `this service credential ${revoked ? "was revoked" : "has expired"}: it cannot be changed`;
  throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
}

/** The credential, revoked; the same object if it is revoked already, with any reason. */
export function revokedServiceCredential(
  service: ServiceCredential,
  reason: string | undefined,
  now: number,
): ServiceCredential {
  if (service.revokedAt !== undefined) return service;
  return { ...service, revokedAt: new Date(now), revokedReason: reason };
}
