import type { KeyIdentity } from "@routeplane/contracts/auth";
import type { KeyBranch } from "./key-tree.ts";

/** Changes of a key that a caller may make, before the service decides. */
export interface KeyAuthority {
  /** True to revoke: for the key itself, those below it, and of a root key any. */
  readonly mayRevoke: boolean;
  /** True to rename and narrow: as to revoke, but for a console key, which has no token and stays as it is. */
  readonly mayChange: boolean;
  /** True to rotate: for the key itself and those below it. A rotation hands out a token, so that a root key has no exception. */
  readonly mayRotate: boolean;
}

/** Authority of the key of the session over another, as far as lineage decides. */
export function keyAuthority(
  caller: Pick<KeyIdentity, "keyId" | "parentId"> | undefined,
  { lineage }: Pick<KeyBranch, "lineage">,
): KeyAuthority {
  if (caller === undefined) return { mayRevoke: false, mayChange: false, mayRotate: false };
  const isBelow = lineage.some(({ id }) => id === caller.keyId);
  const mayRevoke = isBelow || caller.parentId === "";
  const hasToken = lineage.at(-1)?.prefix !== "";
  return { mayRevoke, mayChange: mayRevoke && hasToken, mayRotate: isBelow && hasToken };
}
