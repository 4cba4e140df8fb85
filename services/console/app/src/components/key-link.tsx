import { Link } from "wouter";
import { useKeys } from "../rpc/use-key-names.ts";
import { CopyableId } from "./copyable-id.tsx";

interface KeyLinkProps {
  readonly id: string;
  /** Name of the key if the caller knows it. Absent: it is looked up. */
  readonly name?: string;
}

/** Link to the page of a key, with its name, or its id if the name is not known. */
export function KeyLink({ id, name }: KeyLinkProps) {
  return name === undefined ? <LookedUpKey id={id} /> : <NamedKey id={id} name={name} />;
}

function LookedUpKey({ id }: { readonly id: string }) {
  const name = useKeys().get(id)?.name;
  if (id === "") return <>–</>;
  return name === undefined ? <CopyableId id={id} /> : <NamedKey id={id} name={name} />;
}

/** Name of a key with its own writing direction, because it can be in any language. */
function NamedKey({ id, name }: { readonly id: string; readonly name: string }) {
  return (
    <Link href={`/keys/${id}`}>
      <bdi>{name}</bdi>
    </Link>
  );
}
