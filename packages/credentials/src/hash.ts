import { createHash, createHmac, timingSafeEqual } from "node:crypto";

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
  const all = text.split(",").map((part) => /^([a-z0-9-]{1,32}):((?:[0-9a-f]{2}){32,})$/.exec(part.trim()));
  const peppers = new Map<string, Pepper>();
  for (const match of all) {
    if (match === null || peppers.has(match[1]!)) return undefined;
    peppers.set(match[1]!, { id: match[1]!, secret: Buffer.from(match[2]!, "hex") });
  }
  const [current] = peppers.values();
  return current === undefined ? undefined : { current, find: (id) => peppers.get(id) };
}

/** HMAC-SHA256. Fast on purpose: a 256-bit random secret needs no slow hash, and a slow one caps a core at 13 checks/s. */
export function hashSecret(secret: string, pepper: Pepper): Buffer {
  return createHmac("sha256", pepper.secret).update(secret).digest();
}

/** Compares secrets of any length without telling by its time where they differ. */
export function constantTimeEqual(left: string | Buffer, right: string | Buffer): boolean {
  return timingSafeEqual(createHash("sha256").update(left).digest(), createHash("sha256").update(right).digest());
}
