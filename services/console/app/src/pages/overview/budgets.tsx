import { Link } from "wouter";
import { Badge } from "../../components/badge.tsx";
import { BudgetBar } from "../../components/budget-bar.tsx";
import { Clipped } from "../../components/clipped.tsx";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { PrincipalLink } from "../../components/principal-link.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { countOf } from "../../format/money.ts";
import { useKeys } from "../../rpc/use-key-names.ts";
import { usePolicies } from "../../rpc/use-policies.ts";
import { type BudgetRow, budgetRows, furtherBindings, windowText } from "./budget-rows.ts";

/** Maximum number of budgets that the overview shows. */
const MAX_ROWS = 8;

/** Budgets with the spent, reserved and remaining amount of each, the most used first. */
export function Budgets() {
  const keys = useKeys();
  const { data, error, refetch } = usePolicies();
  if (error !== null) return <ErrorNotice error={error} what="Budgets cannot be read." onRetry={refetch} />;
  if (data === undefined) return <Skeleton />;
  const rows = budgetRows(data.policies, keys);
  if (rows.length === 0) {
    return (
      <EmptyState title="No budget limits the spend of this namespace.">
        <Link href="/policies">Set one</Link>
      </EmptyState>
    );
  }
  const more = rows.length - Math.min(rows.length, MAX_ROWS) + furtherBindings(data.policies);
  return (
    <>
      <DataTable
        caption="Table: Budgets"
        columns={COLUMNS}
        rows={rows.slice(0, MAX_ROWS)}
        keyOf={({ binding }) => binding.id}
      />
      {more > 0 && <Link href="/policies?kind=budget">{countOf(more, "further binding")} of budgets</Link>}
    </>
  );
}

const COLUMNS: readonly Column<BudgetRow>[] = [
  {
    title: "Budget",
    cell: ({ policyId, title, isShadow, state }) => (
      <>
        <Link href={`/policies/${policyId}`}>
          <Clipped text={title} />
        </Link>{" "}
        {state !== "" && <Badge kind={state === "used up" ? "bad" : "warn"}>{state}</Badge>}{" "}
        {isShadow && <Badge>shadow</Badge>}
      </>
    ),
  },
  {
    title: "Spent, reserved, left",
    cell: ({ spec, use }) => <BudgetBar spec={spec} use={use} />,
  },
  {
    title: "Limits",
    cell: ({ binding }) => <PrincipalLink principalType={binding.principalType} principalId={binding.principalId} />,
  },
  { title: "Within", cell: ({ spec }) => windowText(spec), isOptional: true },
];
