import { hash } from "node:crypto";
import { type Clock, DomainError, type Id, invalidField, notFound } from "@routeplane/domain";
import type { KeyDirectory, KnownKey, ReservationKey } from "../ports.ts";
import type { Admission, AdmissionRequest, AdmissionResult } from "./admission.ts";
import type { RequestUsage } from "./reservation.ts";

/** Service that admits requests by a service credential. */
export interface AdmittingService {
  readonly serviceCredentialId: Id<"svc">;
  /** True if the credential is bound to the namespace, or to all of the node. */
  readonly reaches: (namespaceId: Id<"ns">) => boolean;
}

/**
 * Admission by the operator's own services. What a gateway says of a request is trusted; what a service says is not:
 *
 * - Its namespaces are those of its credential; any other is unknown to it.
 * - The lineage must be the one that the auth service knows: if it lacked an ancestor, the ancestor's limits would not apply.
 * - Request ids and idempotency keys are in an id space of the service: the same text from a gateway or another service is another id. So a
 *   service can neither end a foreign reservation nor take an id before a gateway reports a request under it, which would then be charged to
 *   nobody.
 */
export interface ServiceAdmission {
  /** @throws DomainError NOT_FOUND for a key or lineage that is unknown, or not within reach; otherwise as `Admission.admit` */
  admit(service: AdmittingService, request: AdmissionRequest): Promise<AdmissionResult>;
  /** @throws DomainError NOT_FOUND for a namespace that is not within reach; otherwise as `Admission.settle` */
  settle(service: AdmittingService, key: ReservationKey, usage: RequestUsage): Promise<void>;
  /** @throws DomainError NOT_FOUND for a namespace that is not within reach */
  void(service: AdmittingService, key: ReservationKey, neverSent: boolean): Promise<void>;
}

export function createServiceAdmission(admission: Admission, keys: KeyDirectory, clock: Clock): ServiceAdmission {
  return {
    async admit(service, request) {
      const { namespaceId, lineage, sessionId, idempotencyKey } = request;
      requireReach(service, namespaceId);
      if (sessionId !== undefined) throw invalidField("session_id", "must be empty: sessions are those of gateways");
      requireUsable(await findKey(keys, namespaceId, lineage), clock());
      const own = {
        ...request,
        serviceCredentialId: service.serviceCredentialId,
        requestId: ownRequestId(service, request.requestId),
        idempotencyKey: idempotencyKey && ownIdempotencyKey(service, idempotencyKey),
      };
      return admission.admit(own).catch(withoutRequestId);
    },

    async settle(service, key, usage) {
      requireReach(service, key.namespaceId);
      await admission.settle(ownKey(service, key), usage);
    },

    async void(service, key, neverSent) {
      requireReach(service, key.namespaceId);
      await admission.void(ownKey(service, key), neverSent);
    },
  };
}

function requireReach(service: AdmittingService, namespaceId: Id<"ns">): void {
  if (!service.reaches(namespaceId)) throw notFound();
}

/** @throws DomainError NOT_FOUND for a key that the namespace does not have, and for another lineage */
async function findKey(keys: KeyDirectory, namespaceId: Id<"ns">, lineage: readonly Id<"key">[]): Promise<KnownKey> {
  const keyId = lineage.at(-1);
  const known = keyId === undefined ? undefined : await keys.find(namespaceId, keyId);
  if (known === undefined || known.lineage.join(" ") !== lineage.join(" ")) throw notFound();
  return known;
}

/** @throws DomainError FAILED_PRECONDITION for a key that is revoked or expired, or below one that is */
function requireUsable({ revoked, expiresAt }: KnownKey, now: number): void {
  const isExpired = expiresAt !== undefined && expiresAt.getTime() <= now;
  if (!revoked && !isExpired) return;
  const message = `the key, or a key above it, ${revoked ? "is revoked" : "has expired"}: no request is admitted for it`;
  throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
}

function ownKey(service: AdmittingService, key: ReservationKey): ReservationKey {
  return { ...key, requestId: ownRequestId(service, key.requestId) };
}

/** Removes the id of the other request from the error: it is not the id that the service knows. */
function withoutRequestId(error: unknown): never {
  if (!(error instanceof DomainError) || error.reason !== "IDEMPOTENCY_KEY_USED") throw error;
  throw new DomainError("already_exists", "IDEMPOTENCY_KEY_USED", "another request has this idempotency key");
}

const DIGITS = "0123456789abcdefghjkmnpqrstvwxyz";
/** Length of the prefix of a request id with the digits of its time. */
const TIME_LENGTH = "req_".length + 10;

/**
 * Id of a request in the id space of a service: the time of the id, and 74 bits of a hash of it and the service. The time stays,
 * because reservations are partitioned by it.
 */
export function ownRequestId({ serviceCredentialId }: AdmittingService, requestId: Id<"req">): Id<"req"> {
  const bytes = Buffer.from(hash("sha256", `${serviceCredentialId} ${requestId}`, "hex").slice(0, 20), "hex");
  // Version and variant of a UUIDv7.
  bytes[0] = ((bytes[0] ?? 0) & 0x0f) | 0x70;
  bytes[2] = ((bytes[2] ?? 0) & 0x3f) | 0x80;
  let rest = BigInt(`0x${bytes.toString("hex")}`);
  let digits = "";
  for (let digit = 0; digit < 16; digit++) {
    digits = DIGITS.charAt(Number(rest & 31n)) + digits;
    rest >>= 5n;
  }
  return (requestId.slice(0, TIME_LENGTH) + digits) as Id<"req">;
}

function ownIdempotencyKey({ serviceCredentialId }: AdmittingService, idempotencyKey: string): string {
  return `${serviceCredentialId} ${hash("sha256", idempotencyKey, "base64url")}`;
}
