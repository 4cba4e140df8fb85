import type { Namespace } from "@routeplane/contracts/auth";
import { printable } from "../output/printable.ts";
import { fromProtoSetTime } from "./values.ts";

export interface NamespaceView {
  readonly id: string;
  readonly name: string;
  /** Whether the calling key is bound to it. */
  readonly active: boolean;
  readonly created_at: string;
}

export function fromProtoNamespace({ id, name, active, createdAt }: Namespace): NamespaceView {
  return { id, name, active, created_at: fromProtoSetTime(createdAt) };
}

/** `ns_01jxyz… default (active)` */
export function namespaceLine({ id, name, active }: Pick<NamespaceView, "id" | "name" | "active">): string {
  return printable(`${id} ${name}${active ? " (active)" : ""}`);
}
