import type { KeyIdentity } from "@routeplane/contracts/auth";
import type { KeyBranch } from "./key-tree.ts";

/** Changes of a key that a caller may make, before the service decides. */
export interface KeyAuthority {
  /** True to rename, narrow and revoke: for the key itself, those below it, and of a root key any. */
  readonly mayChange: boolean;
  /** True to rotate: for the key itself and those below it. A rotation hands out a token, so that a root key has no exception. */
  readonly mayRotate: boolean;
}

/** Authority of the key of the session over another, as far as lineage decides. */
export function keyAuthority(
  caller: Pick<KeyIdentity, "keyId" | "parentId"> | undefined,
  { lineage }: Pick<KeyBranch, "lineage">,
): KeyAuthority {
  if (caller === undefined) return { mayChange: false, mayRotate: false };
  const mayRotate = lineage.some(({ id }) => id === caller.keyId);
  return { mayRotate, mayChange: mayRotate || caller.parentId === "" };
}
