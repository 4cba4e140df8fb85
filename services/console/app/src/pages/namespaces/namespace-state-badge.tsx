import type { Namespace } from "@routeplane/contracts/auth";
import { Badge } from "../../components/badge.tsx";
import { Time } from "../../components/time.tsx";
import { fromTimestamp } from "../../format/time.ts";
import { namespaceStateOf } from "./namespace-state.ts";

/** Badge with the state of a namespace and its start; for a deleted one, with the time until which it can be restored. */
export function NamespaceStateBadge({ namespace }: { readonly namespace: Namespace }) {
  switch (namespaceStateOf(namespace)) {
    case "active":
      return <Badge kind="good">active</Badge>;
    case "suspended":
      return (
        <>
          <Badge kind="warn">suspended</Badge> <Time date={fromTimestamp(namespace.suspendedAt)} />
        </>
      );
    case "deleted":
      return (
        <>
          <Badge kind="bad">deleted</Badge> can be restored until{" "}
          <Time date={fromTimestamp(namespace.restorableUntil)} isExact />
        </>
      );
  }
}
