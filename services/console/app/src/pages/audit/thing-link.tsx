import { Link } from "wouter";
import { CopyableId } from "../../components/copyable-id.tsx";
import { useSession } from "../../session/use-session.ts";
import { pathOf } from "./thing-path.ts";

interface ThingLinkProps {
  readonly id: string;
  /** Name of the resource; undefined if it is not known. */
  readonly name: string | undefined;
}

/** Name of a resource, or its id if the name is not known. It links to the page of the resource, if there is one. */
export function ThingLink({ id, name }: ThingLinkProps) {
  const { kind } = useSession();
  if (id === "") return <>–</>;
  if (name === undefined) return <CopyableId id={id} />;
  const path = pathOf(id, kind);
  const text = <bdi>{name}</bdi>;
  return (
    <>
      {path === undefined ? text : <Link href={path}>{text}</Link>} <CopyableId id={id} />
    </>
  );
}
