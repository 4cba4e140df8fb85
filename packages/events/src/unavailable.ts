import { DomainError } from "@routeplane/domain";

/** Makes the error for an event that cannot commit now, because of NATS or because of the disk. */
export function unavailable(dependency: "nats" | "spool", message: string, cause?: unknown): DomainError {
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata: { dependency }, cause });
}
