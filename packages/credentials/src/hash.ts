import { createHmac, timingSafeEqual } from "node:crypto";

/** An HMAC key of at least 32 bytes, kept outside the database, so that a stolen database verifies nothing. */
export interface Pepper {
  readonly id: string;
  readonly secret: Buffer;
}

/** All configured peppers. The current one hashes new secrets; a row names the pepper that hashed its secret. */
export interface Peppers {
  readonly current: Pepper;
  readonly find: (id: string) => Pepper | undefined;
}

/** Parses `id:hex[,id:hex…]`, the current one first; undefined unless each has at least 32 bytes and the ids differ. */
export function parsePeppers(text: string): Peppers | undefined {
  const peppers = new Map<string, Pepper>();
  for (const part of text.split(",")) {
    const [, id, hex] = /^([a-z0-9-]{1,32}):((?:[0-9a-f]{2}){32,})$/.exec(part.trim()) ?? [];
    if (id === undefined || hex === undefined || peppers.has(id)) return undefined;
    peppers.set(id, { id, secret: Buffer.from(hex, "hex") });
  }
  const [current] = peppers.values();
  return current && { current, find: (id) => peppers.get(id) };
}

/** HMAC-SHA256 of a secret. Fast on purpose: 256 random bits need no slow hash, which would cap a core at 13 checks/s. */
export function hashSecret(secret: string, pepper: Pepper): Buffer {
  return createHmac("sha256", pepper.secret).update(secret).digest();
}

/** True if the secrets are equal. Takes the same time for all secrets of one length, so that the time reveals only the length. */
export function constantTimeEqual(left: string | Buffer, right: string | Buffer): boolean {
  const [leftBytes, rightBytes] = [Buffer.from(left as string), Buffer.from(right as string)];
  return leftBytes.length === rightBytes.length && timingSafeEqual(leftBytes, rightBytes);
}
