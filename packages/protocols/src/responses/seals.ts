import type { ProtocolWire, ThinkingSeal } from "../model.ts";

/** Matches the seal of another wire within `encrypted_content`. Seals of OpenAI are base64, without dots. */
const FOREIGN = /^(chat|messages)\.(signature|encrypted)\./;

/**
 * Writes a seal as `encrypted_content` of a reasoning item. A client sends it back unchanged, so a seal of another wire names that wire.
 */
export function toEncryptedContent({ wire, kind, value }: ThinkingSeal): string {
  return wire === "responses" ? value : `${wire}.${kind}.${value}`;
}

/** Reads the seal in a reasoning item. @param id id of the item, if it has one */
export function fromEncryptedContent(content: string, id: string | undefined): ThinkingSeal {
  const foreign = FOREIGN.exec(content);
  if (foreign === null) {
    return { wire: "responses", kind: "encrypted", value: content, ...(id === undefined ? {} : { id }) };
  }
  const [head, wire, kind] = foreign;
  return { wire: wire as ProtocolWire, kind: kind as ThinkingSeal["kind"], value: content.slice(head.length) };
}
