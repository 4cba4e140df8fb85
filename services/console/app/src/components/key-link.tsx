import { Link } from "wouter";
import { useKeys } from "../rpc/use-key-names.ts";
import { CopyableId } from "./copyable-id.tsx";

/** Name of a key, which leads to its page, or its id where the name is not known. */
export function KeyLink({ id }: { readonly id: string }) {
  const name = useKeys().get(id)?.name;
  if (id === "") return <>–</>;
  return name === undefined ? <CopyableId id={id} /> : <Link href={`/keys/${id}`}>{name}</Link>;
}
