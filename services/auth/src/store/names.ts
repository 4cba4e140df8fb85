import { DomainError } from "@routeplane/domain";
import { isUniqueViolation } from "@routeplane/postgres";

/** No row holds U+0000, and the database takes it for no text at all: it is as unknown as any other name. */
export function emptyIfUnstorable(nameOrId: string): string {
  return nameOrId.includes("\u0000") ? "" : nameOrId;
}

/**
 * Writes something under a name.
 *
 * @param constraint that keeps names apart
 * @param owner what it keeps them apart among, e.g. `another account of this node`
 * @throws DomainError ALREADY_EXISTS if it is taken
 */
export async function writeUniqueName<T>(
  { name, constraint, owner }: { readonly name: string; readonly constraint: string; readonly owner: string },
  write: () => Promise<T>,
): Promise<T> {
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
