import { PrincipalType } from "@routeplane/contracts/policy";
import { MAX_KEY_NAMES, useKeys } from "../rpc/use-key-names.ts";
import { holdsScope, useSession } from "../session/use-session.ts";
import { Field } from "./field.tsx";

/** Principal that a policy can be bound to. */
export interface ChosenPrincipal {
  readonly principalType: PrincipalType.NAMESPACE | PrincipalType.API_KEY;
  readonly principalId: string;
}

/** True if the principal's id is complete. The service decides whether there is such a principal. */
export function isWhole({ principalId }: ChosenPrincipal): boolean {
  return /^(?:ns|key)_[0-9a-z]{26}$/.test(principalId);
}

interface PrincipalSelectProps {
  readonly label: string;
  readonly value: ChosenPrincipal;
  /** Called with each choice, and with each text of the field for an id, which need not be a whole id. */
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
    <Field label={label} error={isWhole(value) ? undefined : "This is no id of a key."}>
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

/** Field for the id of a principal. */
function PrincipalIdField({ label, value, onChange }: PrincipalSelectProps) {
  return (
    <Field
      label={label}
      hint="The id of a key (key_…), which includes the keys below it, or of the namespace (ns_…)."
      error={isWhole(value) ? undefined : "Must be an id that begins with key_ or ns_."}
    >
      <input
        value={value.principalId}
        maxLength={100}
        spellCheck={false}
        autoComplete="off"
        onChange={({ target }) => onChange(principalOf(target.value.trim()))}
      />
    </Field>
  );
}

function principalOf(id: string): ChosenPrincipal {
  const principalType = id.startsWith("ns_") ? PrincipalType.NAMESPACE : PrincipalType.API_KEY;
  return { principalType, principalId: id };
}
