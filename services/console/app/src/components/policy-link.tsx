import { Link } from "wouter";
import { usePolicies } from "../rpc/use-policy-names.ts";
import { CopyableId } from "./copyable-id.tsx";

/** Name of a policy, which leads to its page, or its id where the name is not known. */
export function PolicyLink({ id }: { readonly id: string }) {
  const name = usePolicies(id !== "").get(id)?.name;
  if (id === "") return <>–</>;
  return name === undefined ? <CopyableId id={id} /> : <Link href={`/policies/${id}`}>{name}</Link>;
}
