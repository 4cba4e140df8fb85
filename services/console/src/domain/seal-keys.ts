/** Key that seals session cookies: 256 random bits. */
export interface SealKey {
  readonly id: string;
  readonly secret: Buffer;
}

/** All configured keys. The current key seals; a cookie names the key that sealed it. */
export interface SealKeys {
  readonly current: SealKey;
  readonly find: (id: string) => SealKey | undefined;
}

const KEY_BYTES = 32;
/** Maximum number of keys: the current one and those whose cookies are still valid. */
const MAX_KEYS = 16;

/** Format of the variable, for configuration errors. */
export const SEAL_KEYS_RULE = `must be id:base64url[,id:base64url…] with ${KEY_BYTES} bytes each and at most ${MAX_KEYS} ids that differ`;

/** Parses `id:base64url[,id:base64url…]`, with the current key first; undefined for any other text. */
export function parseSealKeys(text: string): SealKeys | undefined {
  const keys = new Map<string, SealKey>();
  for (const part of text.split(",")) {
    const [, id, encoded] = /^([a-z0-9-]{1,32}):([\w-]{43})=?$/.exec(part.trim()) ?? [];
    if (id === undefined || encoded === undefined || keys.has(id)) return undefined;
    keys.set(id, { id, secret: Buffer.from(encoded, "base64url") });
  }
  const [current] = keys.values();
  return current && keys.size <= MAX_KEYS ? { current, find: (id) => keys.get(id) } : undefined;
}
