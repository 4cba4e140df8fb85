/** Seals of reasoning as signatures, because a block of thinking has no other place for a seal. */
import type { ProtocolWire, ThinkingSeal } from "../model.ts";

/** Matches the seal of another wire within a signature. Signatures of messages upstreams are base64, without dots. */
const FOREIGN = /^(chat|responses)\.(signature|encrypted)\.([\w-]*)\./;

/** Writes a seal. A client sends it back unchanged, so a seal of another wire names that wire. */
export function toSignature({ wire, kind, value, id = "" }: ThinkingSeal): string {
  return wire === "messages" ? value : `${wire}.${kind}.${id.replace(/[^\w-]/g, "")}.${value}`;
}

/** Reads a seal; a seal that names no wire comes from a messages upstream. */
export function fromSignature(signature: string): ThinkingSeal {
  const foreign = FOREIGN.exec(signature);
  if (foreign === null) return { wire: "messages", kind: "signature", value: signature };
  const [head, wire, kind, id = ""] = foreign;
  return {
    wire: wire as ProtocolWire,
    kind: kind as ThinkingSeal["kind"],
    value: signature.slice(head.length),
    ...(id !== "" && { id }),
  };
}
