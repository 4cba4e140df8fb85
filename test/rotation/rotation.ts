import type { Role, SecretChanges } from "./node-of-files.ts";

/** Rotation of one kind of secret. Requests are sent during the rotation, and none may fail. */
export interface Rotation {
  readonly name: string;
  /** Makes the new secret valid in addition to the former one. */
  admit(): Promise<void>;
  /** Makes every process use the new one. */
  use(): Promise<void>;
  /** Ends the former one, once nothing uses it. */
  retire(): Promise<void>;
  /** Expects that the former one is refused. */
  prove(): Promise<void>;
}

/** The same change for several roles. */
export function changesOf(roles: readonly Role[], of: (role: Role) => Record<string, string>) {
  return Object.fromEntries(roles.map((role) => [role, of(role)])) as SecretChanges;
}
