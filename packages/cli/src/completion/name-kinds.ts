import type { Argument, Option } from "commander";
import {
  contextArgument,
  keyArgument,
  keysArgument,
  namespaceArgument,
  policyArgument,
  principalArgument,
} from "../arguments.ts";

/** Kinds of names that completion looks up when they are needed. */
export const NAME_KINDS = ["keys", "policies", "namespaces", "principals", "contexts"] as const;

export type NameKind = (typeof NAME_KINDS)[number];

/** Option of `routeplane` that names a context. It has no parser, because printing help must not load one. */
const CONTEXT_OPTION = "--context";

/** Kinds of names by the parser of an argument or option. */
const KINDS: ReadonlyMap<unknown, NameKind> = new Map<unknown, NameKind>([
  [keyArgument, "keys"],
  [keysArgument, "keys"],
  [policyArgument, "policies"],
  [namespaceArgument, "namespaces"],
  [principalArgument, "principals"],
  [contextArgument, "contexts"],
]);

/** Kind of the names that an argument takes; undefined for one that takes none. */
export function nameKindOfArgument({ parseArg }: Argument): NameKind | undefined {
  return KINDS.get(parseArg);
}

/** Kind of the names that an option takes; undefined for one that takes none. */
export function nameKindOfOption({ long, parseArg }: Option): NameKind | undefined {
  return long === CONTEXT_OPTION ? "contexts" : KINDS.get(parseArg);
}
