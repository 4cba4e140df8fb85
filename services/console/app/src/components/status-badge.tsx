import type { RequestStatus } from "@routeplane/contracts/usage";
import { statusNameOf, type StatusName } from "../format/request-status.ts";
import { Badge } from "./badge.tsx";

const KINDS: Readonly<Record<StatusName, "neutral" | "good" | "warn" | "bad">> = {
  succeeded: "good",
  failed: "bad",
  cancelled: "warn",
  denied: "bad",
  pending: "neutral",
  unknown: "warn",
};

/** Status of a request in a word. */
export function StatusBadge({ status }: { readonly status: RequestStatus }) {
  const name = statusNameOf(status);
  return <Badge kind={KINDS[name]}>{name}</Badge>;
}
