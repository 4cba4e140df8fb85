import { Link } from "wouter";
import { CopyableId } from "../../components/copyable-id.tsx";
import { useSession } from "../../session/use-session.ts";
import { pathOf } from "./thing-path.ts";

interface ThingLinkProps {
  readonly id: string;
  /** Undefined if it is not known. */
  readonly name: string | undefined;
}

/** Name of what an entry names, which leads to its page where it has one; its id where no name is known. */
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
