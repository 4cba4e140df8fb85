import type { Session } from "../../session/session.ts";

/** Path of the page of a resource, for a kind of session; undefined if there is no such page in it. */
export function pathOf(id: string, kind: Session["kind"]): string | undefined {
  if (kind === "operator") return id.startsWith("ns_") ? `/namespaces?q=${id}&deleted=1` : undefined;
  if (id.startsWith("key_")) return `/keys/${id}`;
  return id.startsWith("pol_") ? `/policies/${id}` : undefined;
}
