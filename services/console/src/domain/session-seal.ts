import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { Clock } from "@routeplane/domain";
import type { Watched } from "@routeplane/runtime";
import type { SealKeys } from "./seal-keys.ts";
import type { Session } from "./session.ts";

const ALGORITHM = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Maximum length of a sealed text that is opened: far above the length of any that `seal` makes. */
const MAX_CHARS = 2_048;

/**
 * Seals sessions into texts for cookies: `<key id>.<base64url of nonce, AES-256-GCM ciphertext and tag>`. The key id is authenticated too.
 * With random nonces of 96 bits, a key may seal 2^32 texts (NIST SP 800-38D, 8.3).
 */
export class SessionSeal {
  readonly #keys: Watched<SealKeys>;
  readonly #clock: Clock;

  constructor(keys: Watched<SealKeys>, clock: Clock) {
    this.#keys = keys;
    this.#clock = clock;
  }

  seal({ token, expiresAt, namespaceId, name, canSwitch }: Session): string {
    const { id, secret } = this.#keys.current.current;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, secret, nonce).setAAD(Buffer.from(id));
    const text = JSON.stringify([token, expiresAt.getTime(), namespaceId, name, canSwitch]);
    const sealed = Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
    return `${id}.${sealed.toString("base64url")}`;
  }

  /** Opens a sealed text; undefined if none of the keys sealed it, it was altered, or the session has expired. */
  open(text: string): Session | undefined {
    const [, id, encoded] = (text.length <= MAX_CHARS && /^([a-z0-9-]{1,32})\.([\w-]+)$/.exec(text)) || [];
    const key = id === undefined ? undefined : this.#keys.current.find(id);
    if (key === undefined || encoded === undefined) return undefined;
    const bytes = Buffer.from(encoded, "base64url");
    // Only the canonical text is accepted: the last base64url digit can have unused bits, which would allow other texts for the same seal.
    if (bytes.toString("base64url") !== encoded) return undefined;
    const session = decrypt(key.secret, key.id, bytes);
    return session !== undefined && session.expiresAt.getTime() > this.#clock() ? session : undefined;
  }
}

/** Content of a seal, as JSON: token, expiry in milliseconds since the epoch, namespace, name, and whether it can switch. */
type SealedText = [string, number, string, string, boolean];

function decrypt(secret: Buffer, id: string, bytes: Buffer): Session | undefined {
  if (bytes.length <= NONCE_BYTES + TAG_BYTES) return undefined;
  const tagAt = bytes.length - TAG_BYTES;
  const decipher = createDecipheriv(ALGORITHM, secret, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(id))
    .setAuthTag(bytes.subarray(tagAt));
  try {
    const text = decipher.update(bytes.subarray(NONCE_BYTES, tagAt), undefined, "utf8") + decipher.final("utf8");
    // The content is authenticated, so only `seal` can have made it.
    const [token, expiresAtMs, namespaceId, name, canSwitch] = JSON.parse(text) as SealedText;
    return { token, expiresAt: new Date(expiresAtMs), namespaceId, name, canSwitch };
  } catch {
    return undefined;
  }
}
