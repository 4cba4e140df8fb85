import { DomainError } from "@routeplane/domain";
import { isUniqueViolation } from "@routeplane/postgres";

/**
 * `nameOrId`; the empty text, which matches no row, if it contains U+0000. Postgres fails a query with that character, but
 * such a name must be NOT_FOUND like any other unknown one.
 */
export function emptyIfUnstorable(nameOrId: string): string {
  return nameOrId.includes("\u0000") ? "" : nameOrId;
}

/** A name and the unique constraint that it must satisfy. */
export interface UniqueName {
  readonly name: string;
  readonly constraint: string;
  /** Possible owner of the name, for the error: e.g. `another account of this node`. */
  readonly owner: string;
}

/**
 * Runs a write, and converts a violation of the constraint to an error that quotes the name.
 *
 * @throws DomainError ALREADY_EXISTS if the name is taken
 */
export async function writeUniqueName<T>({ name, constraint, owner }: UniqueName, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (!isUniqueViolation(error, constraint)) throw error;
    const rule = `is taken by ${owner}`;
    throw new DomainError("already_exists", "NAME_TAKEN", `name: ${JSON.stringify(name)} ${rule}`, {
      fields: [{ field: "name", rule }],
      metadata: { field: "name" },
    });
  }
}
