import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Key, UpdateKeyRequestSchema } from "@routeplane/contracts/auth";
import type { FieldErrors } from "../../rpc/field-errors.ts";
import { type ExpiryChoice, expiryOf, NO_EXPIRY } from "./expiry.ts";

/** Texts of the form that changes a key. */
export interface UpdateForm {
  readonly name: string;
  readonly scopes: readonly string[];
  /** New expiry; the choice "none" leaves it unchanged. */
  readonly expiry: ExpiryChoice;
}

/** Form with the current values of a key. @param held scopes that it holds now */
export function updateFormOf({ name }: Pick<Key, "name">, held: readonly string[]): UpdateForm {
  return { name, scopes: held, expiry: NO_EXPIRY };
}

/** Converts a form to a request for the fields that differ from the key, or to the faults of the form. */
export function updateRequestOf(
  form: UpdateForm,
  key: Pick<Key, "id" | "name">,
  held: readonly string[],
  now: number,
  timeZone: string,
): { readonly request: MessageInitShape<typeof UpdateKeyRequestSchema> } | { readonly faults: FieldErrors } {
  const name = form.name.trim();
  if (name === "") return { faults: new Map([["name", "Must not be blank"]]) };
  if (form.scopes.length === 0)
    return { faults: new Map([["scopes", "A key keeps at least one scope: revoke it instead"]]) };
  const expiry = expiryOf(form.expiry, now, timeZone);
  if ("fault" in expiry) return { faults: new Map([["expires_at", expiry.fault]]) };
  const isNarrowed = form.scopes.toSorted().join(" ") !== held.toSorted().join(" ");
  const changes = {
    ...(name !== key.name && { name }),
    ...(isNarrowed && { scopes: [...form.scopes] }),
    ...(expiry.expiresAt !== undefined && { expiresAt: timestampFromDate(expiry.expiresAt) }),
  };
  if (Object.keys(changes).length === 0) return { faults: new Map([["name", "Nothing is changed"]]) };
  return { request: { id: key.id, ...changes } };
}
