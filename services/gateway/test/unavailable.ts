import { DomainError } from "@routeplane/domain";

/** Error of a port whose service or disk does not answer. */
export function unavailable(dependency: string): DomainError {
  const metadata = { dependency };
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", `${dependency} does not answer`, { metadata });
}
