import { useQuery } from "@connectrpc/connect-query";
import { type Binding, BindingMode, type BudgetUse, type Policy, PolicyService } from "@routeplane/contracts/policy";
import { budgetOf, type PolicySpec } from "@routeplane/policy-spec";
import { useState } from "react";
import { BudgetBar } from "../../components/budget-bar.tsx";
import { Button } from "../../components/button.tsx";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { KeyLink } from "../../components/key-link.tsx";
import { PrincipalLink } from "../../components/principal-link.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { Time } from "../../components/time.tsx";
import { fromTimestamp } from "../../format/time.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";
import { BindDialog } from "./bind-dialog.tsx";
import styles from "./bindings.module.css";
import { EnforceDialog } from "./enforce-dialog.tsx";
import { ModeBadge } from "./mode-badge.tsx";
import { UnbindDialog } from "./unbind-dialog.tsx";

/** Maximum number of bindings of a policy: one page holds all. */
const MAX_BINDINGS = 1_000;

interface BindingsProps {
  readonly policy: Policy;
  readonly spec: PolicySpec | undefined;
}

/** Change of a binding that the person is asked to confirm. */
interface Asked {
  readonly binding: Binding;
  readonly action: "unbind" | "enforce";
}

interface BindingRow {
  readonly binding: Binding;
  readonly use: BudgetUse | undefined;
}

/** Bindings of a policy, each with its budget use, and the buttons that bind and unbind. */
export function Bindings({ policy, spec }: BindingsProps) {
  const input = { policyId: policy.id, pageSize: MAX_BINDINGS };
  const { data, error, refetch } = useQuery(PolicyService.method.listBindings, input);
  const [isBinding, setBinding] = useState(false);
  const [asked, setAsked] = useState<Asked>();
  const canWrite = holdsScope(useSession(), "policy:write");
  if (error !== null) return <ErrorNotice error={error} what="Bindings cannot be read." onRetry={refetch} />;
  if (data === undefined) return <Skeleton />;
  const rows = data.bindings.map((binding) => ({ binding, use: data.budgetUses[binding.id] }));
  return (
    <>
      {rows.length === 0 ? (
        <EmptyState title="The policy has no bindings, so it limits nothing.">
          {canWrite && "Bind it to the namespace or to a key; in shadow mode first, if you are not sure."}
        </EmptyState>
      ) : (
        <DataTable
          caption="What it is bound to"
          columns={columnsOf(spec, canWrite ? setAsked : undefined)}
          rows={rows}
          keyOf={({ binding }) => binding.id}
        />
      )}
      {canWrite && (
        <div className={styles.actions}>
          <Button onClick={() => setBinding(true)}>Bind</Button>
        </div>
      )}
      {isBinding && <BindDialog policy={policy} onClose={() => setBinding(false)} />}
      {asked?.action === "unbind" && <UnbindDialog binding={asked.binding} onClose={() => setAsked(undefined)} />}
      {asked?.action === "enforce" && <EnforceDialog binding={asked.binding} onClose={() => setAsked(undefined)} />}
    </>
  );
}

function columnsOf(
  spec: PolicySpec | undefined,
  onAction: ((asked: Asked) => void) | undefined,
): readonly Column<BindingRow>[] {
  const budget = spec && budgetOf(spec);
  return [
    {
      title: "Bound to",
      cell: ({ binding }) => <PrincipalLink principalType={binding.principalType} principalId={binding.principalId} />,
    },
    { title: "Mode", cell: ({ binding }) => <ModeBadge mode={binding.mode} /> },
    ...(budget === undefined
      ? []
      : [
          {
            title: "Budget",
            cell: ({ use }: BindingRow) => (use === undefined ? "–" : <BudgetBar spec={budget} use={use} />),
          },
        ]),
    { title: "Since", cell: ({ binding }) => <Time date={fromTimestamp(binding.createdAt)} />, isOptional: true },
    { title: "By", cell: ({ binding }) => <KeyLink id={binding.createdBy} />, isOptional: true },
    ...(onAction === undefined
      ? []
      : [
          {
            title: "Actions",
            cell: ({ binding }: BindingRow) => (
              <span className={styles.buttons}>
                {binding.mode === BindingMode.SHADOW && (
                  <Button onClick={() => onAction({ binding, action: "enforce" })}>Enforce</Button>
                )}
                <Button onClick={() => onAction({ binding, action: "unbind" })}>Unbind</Button>
              </span>
            ),
          },
        ]),
  ];
}
