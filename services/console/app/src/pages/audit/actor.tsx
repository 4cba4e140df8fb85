import type { AuditEntry } from "@routeplane/contracts/audit";
import { ThingLink } from "./thing-link.tsx";

interface ActorProps {
  readonly entry: AuditEntry;
  readonly nameOf: (id: string) => string | undefined;
}

/** Caller that made a change. */
export function Actor({ entry: { actorType, actorId }, nameOf }: ActorProps) {
  if (actorId === "") return <>{actorType === "service" ? "the node" : actorType}</>;
  const isOperator = actorType === "operator";
  return (
    <>
      {isOperator && "operator "}
      <ThingLink id={actorId} name={nameOf(actorId)} />
    </>
  );
}
