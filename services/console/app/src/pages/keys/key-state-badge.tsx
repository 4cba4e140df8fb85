import { Badge } from "../../components/badge.tsx";
import { formatRelative } from "../../format/time.ts";
import { useNow } from "../../format/use-now.ts";
import type { KeyState } from "./key-tree.ts";

/** Badge with the state of a key, and the key above it that ended it, if any. */
export function KeyStateBadge({ state }: { readonly state: KeyState }) {
  const now = useNow();
  switch (state.kind) {
    case "active":
      return <Badge kind="good">active</Badge>;
    case "expiring":
      return <Badge kind="warn">expires {formatRelative(new Date(state.expiresAtMs ?? now), now)}</Badge>;
    case "expired":
    case "revoked":
      return <Badge kind="bad">{state.ancestor === undefined ? state.kind : `${state.kind} above`}</Badge>;
  }
}
