import type { Session } from "../../session/session.ts";

/** Path of the page of a thing in a session of a kind; undefined if it has none there. */
export function pathOf(id: string, kind: Session["kind"]): string | undefined {
  if (kind === "operator") return id.startsWith("ns_") ? `/namespaces/${id}` : undefined;
  if (id.startsWith("key_")) return `/keys/${id}`;
  return id.startsWith("pol_") ? `/policies/${id}` : undefined;
}
