import { PrincipalType } from "@routeplane/contracts/policy";
import { useState } from "react";
import { MAX_KEY_NAMES, useKeys } from "../rpc/use-key-names.ts";
import { holdsScope, useSession } from "../session/use-session.ts";
import { Field } from "./field.tsx";

/** Principal that a policy can be bound to. */
export interface ChosenPrincipal {
  readonly principalType: PrincipalType.NAMESPACE | PrincipalType.API_KEY;
  readonly principalId: string;
}

interface PrincipalSelectProps {
  readonly label: string;
  readonly value: ChosenPrincipal;
  readonly onChange: (principal: ChosenPrincipal) => void;
}

/**
 * Choice of the namespace or one of its keys. A key is given by its id without the scope `keys:read`, or if there are more keys than are
 * read.
 */
export function PrincipalSelect({ label, value, onChange }: PrincipalSelectProps) {
  const session = useSession();
  const keys = useKeys();
  if (!holdsScope(session, "keys:read") || keys.size >= MAX_KEY_NAMES) {
    return <PrincipalIdField label={label} value={value} onChange={onChange} />;
  }
  const active = [...keys.values()].filter(({ revokedAt, id }) => revokedAt === undefined || id === value.principalId);
  return (
    <Field label={label}>
      <select value={value.principalId} onChange={({ target }) => onChange(principalOf(target.value))}>
        <option value={session.namespaceId}>Every key of the namespace {session.namespaceName}</option>
        {value.principalType === PrincipalType.API_KEY && !keys.has(value.principalId) && (
          <option value={value.principalId}>{value.principalId}</option>
        )}
        {active.map(({ id, name }) => (
          <option key={id} value={id}>
            {name} and keys below it
          </option>
        ))}
      </select>
    </Field>
  );
}

const PRINCIPAL_ID = /^(?:ns|key)_[0-9a-z]{26}$/;

/** Field for the id of a principal. Reports the id once it is complete. */
function PrincipalIdField({ label, value, onChange }: PrincipalSelectProps) {
  const [text, setText] = useState(value.principalId);
  return (
    <Field
      label={label}
      hint="The id of a key (key_…), which includes the keys below it, or of the namespace (ns_…)."
      error={PRINCIPAL_ID.test(text.trim()) ? undefined : "Must be an id that begins with key_ or ns_."}
    >
      <input
        value={text}
        maxLength={100}
        spellCheck={false}
        autoComplete="off"
        onChange={({ target }) => {
          setText(target.value);
          if (PRINCIPAL_ID.test(target.value.trim())) onChange(principalOf(target.value.trim()));
        }}
      />
    </Field>
  );
}

function principalOf(id: string): ChosenPrincipal {
  const principalType = id.startsWith("ns_") ? PrincipalType.NAMESPACE : PrincipalType.API_KEY;
  return { principalType, principalId: id };
}
