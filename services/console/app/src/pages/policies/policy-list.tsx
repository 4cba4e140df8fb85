import { BindingMode } from "@routeplane/contracts/policy";
import { budgetOf, POLICY_KINDS } from "@routeplane/policy-spec";
import { Link } from "wouter";
import { Badge } from "../../components/badge.tsx";
import { BudgetBar } from "../../components/budget-bar.tsx";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Field } from "../../components/field.tsx";
import { PrincipalLink } from "../../components/principal-link.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { useFilters } from "../../format/use-filters.ts";
import { useKeys } from "../../rpc/use-key-names.ts";
import { usePolicies } from "../../rpc/use-policies.ts";
import styles from "./policy-list.module.css";
import { type PolicyFilters, type PolicyRow, policyRows } from "./policy-rows.ts";
import { KIND_TITLES } from "./spec.ts";

/** Policies of the namespace with their principals, filtered by the address. */
export function PolicyList() {
  const [filters, change] = useFilters(["kind", "text"]);
  return (
    <>
      <div className={styles.filters}>
        <Field label="Kind">
          <select value={filters.kind} onChange={({ target }) => change({ kind: target.value })}>
            <option value="">All kinds</option>
            {POLICY_KINDS.map((kind) => (
              <option key={kind} value={kind}>
                {KIND_TITLES[kind]}
              </option>
            ))}
          </select>
        </Field>
        <Field label="Search">
          <input
            type="search"
            value={filters.text}
            maxLength={200}
            placeholder="Name, rule, key, shadow, disabled"
            onChange={({ target }) => change({ text: target.value })}
          />
        </Field>
      </div>
      <Policies filters={filters} />
    </>
  );
}

function Policies({ filters }: { readonly filters: PolicyFilters }) {
  const keys = useKeys();
  const { data, error, refetch } = usePolicies();
  if (error !== null) return <ErrorNotice error={error} what="Policies cannot be read." onRetry={refetch} />;
  if (data === undefined) return <Skeleton lines={6} />;
  const rows = policyRows(data.policies, filters, keys);
  if (data.policies.length === 0) {
    return (
      <EmptyState title="No policies yet.">
        A policy limits spend or rate, or says which models and texts may pass.{" "}
        <Link href="/policies/new">Create the first one.</Link>
      </EmptyState>
    );
  }
  return (
    <>
      <p className={styles.count} role="status">
        {rows.length === data.policies.length
          ? `${rows.length} ${rows.length === 1 ? "policy" : "policies"}`
          : `${rows.length} of ${data.policies.length} policies`}
      </p>
      {rows.length > 0 && (
        <DataTable caption="Policies" columns={COLUMNS} rows={rows} keyOf={({ policy }) => policy.id} />
      )}
    </>
  );
}

const COLUMNS: readonly Column<PolicyRow>[] = [
  { title: "Name", cell: (row) => <PolicyName row={row} /> },
  { title: "Rules", cell: ({ summary }) => <span className={styles.rules}>{summary}</span> },
  { title: "Bound to", cell: (row) => <BoundTo row={row} /> },
  { title: "Budget, where least is left", cell: (row) => <TightestBudget row={row} /> },
];

function PolicyName({ row }: { readonly row: PolicyRow }) {
  const { policy, title, kind } = row;
  return (
    <span className={styles.name}>
      <Link className={styles.title} href={`/policies/${policy.id}`} title={title}>
        {title}
      </Link>
      <span className={styles.badges}>
        <Badge>{kind === undefined ? "unknown kind" : KIND_TITLES[kind]}</Badge>
        {policy.disabledAt !== undefined && <Badge kind="warn">disabled</Badge>}
      </span>
    </span>
  );
}

function BoundTo({ row }: { readonly row: PolicyRow }) {
  if (row.bindings.length === 0) return <Badge kind="warn">nothing: it limits nothing</Badge>;
  return (
    <ul className={styles.bound}>
      {row.bindings.map(
        ({ binding }) =>
          binding && (
            <li key={binding.id}>
              <PrincipalLink principalType={binding.principalType} principalId={binding.principalId} />{" "}
              {binding.mode === BindingMode.SHADOW && <Badge>shadow</Badge>}
            </li>
          ),
      )}
      {row.further.count > 0 && (
        <li>
          <Link href={`/policies/${row.policy.id}`}>and {row.further.count} more</Link>
          {row.further.shadow > 0 && `, ${row.further.shadow} in shadow mode`}
        </li>
      )}
    </ul>
  );
}

function TightestBudget({ row: { spec, tightest } }: { readonly row: PolicyRow }) {
  const budget = spec && budgetOf(spec);
  const use = tightest?.budgetUse;
  if (budget === undefined || use === undefined) return <>–</>;
  return <BudgetBar spec={budget} use={use} />;
}
