import { PrincipalType } from "@routeplane/contracts/policy";
import { useKeys } from "../rpc/use-key-names.ts";
import { holdsScope, useSession } from "../session/use-session.ts";
import { Field } from "./field.tsx";

/** Principal that a policy can be bound to. */
export interface ChosenPrincipal {
  readonly principalType: PrincipalType.NAMESPACE | PrincipalType.API_KEY;
  readonly principalId: string;
}

interface PrincipalSelectProps {
  readonly label: string;
  readonly hint?: string;
  readonly value: ChosenPrincipal;
  readonly onChange: (principal: ChosenPrincipal) => void;
}

/** Choice of the namespace or one of its keys. Without the scope `keys:read`, a key is given by its id. */
export function PrincipalSelect({ label, hint, value, onChange }: PrincipalSelectProps) {
  const session = useSession();
  const keys = useKeys();
  const active = [...keys.values()].filter(({ revokedAt, id }) => revokedAt === undefined || id === value.principalId);
  const choose = (id: string): void =>
    onChange({
      principalType: id === session.namespaceId ? PrincipalType.NAMESPACE : PrincipalType.API_KEY,
      principalId: id,
    });
  if (!holdsScope(session, "keys:read")) {
    return (
      <Field label={label} hint={hint ?? "The id of the namespace (ns_…) or of a key (key_…)."}>
        <input
          value={value.principalId}
          maxLength={100}
          spellCheck={false}
          onChange={({ target }) => choose(target.value.trim())}
        />
      </Field>
    );
  }
  return (
    <Field label={label} hint={hint}>
      <select value={value.principalId} onChange={({ target }) => choose(target.value)}>
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
