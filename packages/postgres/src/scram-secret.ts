import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";

/** Iterations of PBKDF2 and length of the salt in bytes, as the server chooses them by default. */
const ITERATIONS = 4_096;
const SALT_BYTES = 16;

/** Spaces, and characters without meaning, of RFC 4013: clients replace the former by a blank and leave out the latter when they log in. */
const SPACES = /[\u00A0\u1680\u2000-\u200B\u202F\u205F\u3000]/g;
const WITHOUT_MEANING = /\u00AD|\u034F|\u1806|[\u180B-\u180D]|[\u200B-\u200D]|\u2060|[\uFE00-\uFE0F]|\uFEFF/g;

/**
 * Computes what Postgres stores of a password, in its form `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` (RFC 5803). A
 * statement with it in place of the password can be logged by the server.
 */
export function scramSecret(password: string, salt = randomBytes(SALT_BYTES)): string {
  const prepared = password.replace(SPACES, " ").replace(WITHOUT_MEANING, "").normalize("NFKC");
  const salted = pbkdf2Sync(prepared, salt, ITERATIONS, 32, "sha256");
  const keyOf = (name: string) => createHmac("sha256", salted).update(name).digest();
  const storedKey = createHash("sha256").update(keyOf("Client Key")).digest("base64");
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString("base64")}$${storedKey}:${keyOf("Server Key").toString("base64")}`;
}
