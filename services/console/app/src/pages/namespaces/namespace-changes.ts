import type { Transport } from "@connectrpc/connect";
import { callUnaryMethod } from "@connectrpc/connect-query";
import { NamespaceService } from "@routeplane/contracts/auth";
import type { NamespaceState } from "./namespace-state.ts";

/** Change of the state of a namespace, and the question before it. */
export interface NamespaceChange {
  readonly title: string;
  readonly question: string;
  /** Text that is shown if the change fails. */
  readonly failure: string;
  /** True if the change makes programs stop working. */
  readonly isHarmful: boolean;
  /** States in which the change can be made. */
  readonly from: readonly NamespaceState[];
  readonly call: (transport: Transport, namespace: string) => Promise<unknown>;
}

const { method } = NamespaceService;

/** Changes, in the order in which they are offered. */
export const NAMESPACE_CHANGES = {
  suspend: {
    title: "Suspend",
    question: "From now on every key in it is refused, until it is resumed. Nothing is lost.",
    failure: "The namespace was not suspended.",
    isHarmful: true,
    from: ["active"],
    call: (transport, namespace) => callUnaryMethod(transport, method.suspendNamespace, { namespace }),
  },
  resume: {
    title: "Resume",
    question: "Keys that were valid are valid again.",
    failure: "The namespace was not resumed.",
    isHarmful: false,
    from: ["suspended"],
    call: (transport, namespace) => callUnaryMethod(transport, method.resumeNamespace, { namespace }),
  },
  delete: {
    title: "Delete",
    question:
      "Every key in it is refused from now on, and its name is free again. It can be restored for 30 days; its usage is kept.",
    failure: "The namespace was not deleted.",
    isHarmful: true,
    from: ["active", "suspended"],
    call: (transport, namespace) => callUnaryMethod(transport, method.deleteNamespace, { namespace }),
  },
  restore: {
    title: "Restore",
    question: "It is again as it was: keys that were valid are valid again.",
    failure: "The namespace was not restored.",
    isHarmful: false,
    from: ["deleted"],
    call: (transport, namespace) => callUnaryMethod(transport, method.restoreNamespace, { namespace }),
  },
} as const satisfies Readonly<Record<string, NamespaceChange>>;

export type NamespaceChangeName = keyof typeof NAMESPACE_CHANGES;

/** Changes that can be made in a state. */
export function changesFrom(state: NamespaceState): readonly NamespaceChangeName[] {
  return (Object.keys(NAMESPACE_CHANGES) as NamespaceChangeName[]).filter((name) =>
    (NAMESPACE_CHANGES[name].from as readonly NamespaceState[]).includes(state),
  );
}
