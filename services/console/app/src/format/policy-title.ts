/** Names of keys by their id. */
export type KeyNames = ReadonlyMap<string, { readonly name: string }>;

/** Title of a policy: its name. Limits that a key was minted with are named after the key's id, and shown with the key's name. */
export function policyTitle(name: string, keys: KeyNames): string {
  const keyId = /^limits of (key_[0-9a-z]{26})$/.exec(name)?.[1];
  const keyName = keyId === undefined ? undefined : keys.get(keyId)?.name;
  return keyName === undefined ? name : `limits of ${keyName}`;
}
