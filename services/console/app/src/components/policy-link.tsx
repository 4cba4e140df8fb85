import { Link } from "wouter";
import { usePoliciesById } from "../rpc/use-policies.ts";
import { CopyableId } from "./copyable-id.tsx";

/** Link to the page of a policy, with its name, or its id if the name is not known. */
export function PolicyLink({ id }: { readonly id: string }) {
  const name = usePoliciesById(id !== "").get(id)?.name;
  if (id === "") return <>–</>;
  return name === undefined ? <CopyableId id={id} /> : <Link href={`/policies/${id}`}>{name}</Link>;
}
