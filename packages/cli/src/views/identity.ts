import type { WhoAmIResponse } from "@routeplane/contracts/auth";
import { formatTime } from "../output/time.ts";
import { fromProtoTime } from "./values.ts";

interface Named {
  readonly id: string;
  readonly name: string;
}

/** Who the caller is: `namespace` and `key` for a key, `operator` for an operator credential, which may have no account. */
export interface IdentityView {
  readonly account: Named | null;
  readonly namespace: Named | null;
  readonly key: Credential | null;
  readonly operator: Credential | null;
}

interface Credential extends Named {
  readonly scopes: readonly string[];
  readonly expires_at: string | null;
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
      const { keyId, name, namespaceId, namespaceName, scopes, expiresAt } = identity.value;
      return {
        ...view,
        namespace: { id: namespaceId, name: namespaceName },
        key: { id: keyId, name, scopes, expires_at: fromProtoTime(expiresAt) },
      };
    }
    case "operator": {
      const { operatorId, name, scopes, expiresAt } = identity.value;
      return { ...view, operator: { id: operatorId, name, scopes, expires_at: fromProtoTime(expiresAt) } };
    }
    default:
      return view;
  }
}

/** Fields for people, in order. */
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
  }
  return fields;
}

function named({ id, name }: Named): string {
  return `${name} (${id})`;
}
