import type { KeyIdentity, OperatorIdentity, WhoAmIResponse } from "@routeplane/contracts/auth";
import { formatTime } from "../output/time.ts";
import { fromProtoTime } from "./values.ts";

interface Named {
  readonly id: string;
  readonly name: string;
}

/** Identity of the caller: `namespace` and `key` for a key, `operator` for an operator credential, which may have no account. */
export interface IdentityView {
  readonly account: Named | null;
  readonly namespace: Named | null;
  readonly key: Credential | null;
  readonly operator: Credential | null;
}

interface Credential extends Named {
  readonly scopes: readonly string[];
  readonly expires_at: string | null;
  /** End of the grace of the token in use; null unless a rotation replaced it. */
  readonly grace_ends_at: string | null;
}

export function fromProtoIdentity({ account, identity }: WhoAmIResponse): IdentityView {
  const view = {
    account: account === undefined ? null : { id: account.id, name: account.name },
    namespace: null,
    key: null,
    operator: null,
  };
  switch (identity.case) {
    case "key": {
      const { keyId, namespaceId, namespaceName } = identity.value;
      return {
        ...view,
        namespace: { id: namespaceId, name: namespaceName },
        key: { id: keyId, ...fromProtoCredential(identity.value) },
      };
    }
    case "operator": {
      const { operatorId } = identity.value;
      return { ...view, operator: { id: operatorId, ...fromProtoCredential(identity.value) } };
    }
    default:
      return view;
  }
}

function fromProtoCredential({ name, scopes, expiresAt, graceEndsAt }: KeyIdentity | OperatorIdentity) {
  return { name, scopes, expires_at: fromProtoTime(expiresAt), grace_ends_at: fromProtoTime(graceEndsAt) };
}

/** Fields for people, in their order. */
export function identityFields({ account, namespace, key, operator }: IdentityView): readonly [string, string][] {
  const fields: [string, string][] = [];
  if (account !== null) fields.push(["account", named(account)]);
  if (namespace !== null) fields.push(["namespace", named(namespace)]);
  if (key !== null) fields.push(["key", named(key)]);
  if (operator !== null) fields.push(["operator", named(operator)]);
  const credential = key ?? operator;
  if (credential !== null) {
    fields.push(["scopes", credential.scopes.join(" ")]);
    fields.push(["expires", credential.expires_at === null ? "never" : formatTime(credential.expires_at)]);
    if (credential.grace_ends_at !== null) {
      const end = formatTime(credential.grace_ends_at);
      fields.push([
        "token",
        `replaced by a rotation; until ${end} it may only ${key === null ? "" : "invoke and "}read`,
      ]);
    }
  }
  return fields;
}

function named({ id, name }: Named): string {
  return `${name} (${id})`;
}
