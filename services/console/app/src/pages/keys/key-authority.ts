import type { KeyIdentity } from "@routeplane/contracts/auth";
import type { KeyBranch } from "./key-tree.ts";

/** Changes of a key that a caller may try; the service decides. */
export interface KeyAuthority {
  /** True if the caller may revoke the key: itself, a key below it, or, for a root key, any key. */
  readonly mayRevoke: boolean;
  /**
   * True if the caller may rename and narrow the key: as `mayRevoke`, but never for a console key, which has no token and does not change.
   */
  readonly mayChange: boolean;
  /**
   * True if the caller may rotate the key: itself or a key below it. A root key has no further authority here, because a rotation shows a
   * token.
   */
  readonly mayRotate: boolean;
}

/** Authority of the session's key over another key, by lineage. */
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
