import { Link } from "wouter";
import { useKeys } from "../rpc/use-key-names.ts";
import { CopyableId } from "./copyable-id.tsx";

interface KeyLinkProps {
  readonly id: string;
  /** Name of the key, where it is known. Absent: it is looked up. */
  readonly name?: string;
}

/** Name of a key, which leads to its page, or its id where the name is not known. */
export function KeyLink({ id, name }: KeyLinkProps) {
  return name === undefined ? <LookedUpKey id={id} /> : <NamedKey id={id} name={name} />;
}

function LookedUpKey({ id }: { readonly id: string }) {
  const name = useKeys().get(id)?.name;
  if (id === "") return <>–</>;
  return name === undefined ? <CopyableId id={id} /> : <NamedKey id={id} name={name} />;
}

/** A name has a direction of its own: it may be of any language. */
function NamedKey({ id, name }: { readonly id: string; readonly name: string }) {
  return (
    <Link href={`/keys/${id}`}>
      <bdi>{name}</bdi>
    </Link>
  );
}
