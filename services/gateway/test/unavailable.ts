import { DomainError } from "@routeplane/domain";

/** The error of a client whose service, or of a spool whose disk, does not answer. */
export function unavailable(dependency: string): DomainError {
  const metadata = { dependency };
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", `${dependency} does not answer`, { metadata });
}
