import { createHmac, timingSafeEqual } from "node:crypto";

/** A key for HMAC that is not in the database, so that a stolen database verifies nothing. At least 32 bytes. */
export interface Pepper {
  readonly id: string;
  readonly secret: Buffer;
}

/** The current pepper hashes new secrets; rows name the one that hashed them, so that it can be rotated. */
export interface Peppers {
  readonly current: Pepper;
  readonly find: (id: string) => Pepper | undefined;
}

/** Reads `id:hex[,id:hex…]`, the current one first; undefined unless each is at least 32 bytes and the ids differ. */
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

/** HMAC-SHA256. Fast on purpose: a 256-bit random secret needs no slow hash, and a slow one caps a core at 13 checks/s. */
export function hashSecret(secret: string, pepper: Pepper): Buffer {
  return createHmac("sha256", pepper.secret).update(secret).digest();
}

/** Compares secrets without telling by its time more than whether they are of one length, which is no secret. */
export function constantTimeEqual(left: string | Buffer, right: string | Buffer): boolean {
  const [one, other] = [Buffer.from(left as string), Buffer.from(right as string)];
  return one.length === other.length && timingSafeEqual(one, other);
}
