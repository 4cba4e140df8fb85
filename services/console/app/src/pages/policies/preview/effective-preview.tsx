import { useQuery } from "@connectrpc/connect-query";
import { EffectivePolicyService } from "@routeplane/contracts/policy";
import type { PolicySpec } from "@routeplane/policy-spec";
import { Link } from "wouter";
import { Badge } from "../../../components/badge.tsx";
import { BudgetBar } from "../../../components/budget-bar.tsx";
import { type Column, DataTable } from "../../../components/data-table.tsx";
import { EmptyState } from "../../../components/empty-state.tsx";
import { ErrorNotice } from "../../../components/error-notice.tsx";
import { PrincipalLink } from "../../../components/principal-link.tsx";
import type { ChosenPrincipal } from "../../../components/principal-select.tsx";
import { Skeleton } from "../../../components/skeleton.tsx";
import { formatCount } from "../../../format/money.ts";
import { ModeBadge } from "../mode-badge.tsx";
import { type EffectiveRow, effectiveRows } from "./effective-rows.ts";
import styles from "./preview.module.css";

interface EffectivePreviewProps {
  readonly principal: ChosenPrincipal;
  readonly spec: PolicySpec | undefined;
  readonly policyId: string | undefined;
}

/** Table of every rule that applies to a principal, those of the draft included, each with its policy and binding. */
export function EffectivePreview({ principal, spec, policyId }: EffectivePreviewProps) {
  const { data, error, refetch } = useQuery(EffectivePolicyService.method.getEffectivePolicy, principal);
  if (error !== null)
    return <ErrorNotice error={error} what="The effective policy cannot be read." onRetry={refetch} />;
  const effective = data?.effectivePolicy;
  if (effective === undefined) return <Skeleton />;
  const rows = effectiveRows(effective, spec, policyId);
  if (rows.length === 0) return <EmptyState title="No policy applies." />;
  return (
    <>
      <p className={styles.hint}>
        A request must pass every rule that is enforced: the strictest one decides.
        {spec !== undefined && " Rules of the draft are in force once it is saved and bound."}
      </p>
      <DataTable caption="Rules that apply" columns={COLUMNS} rows={rows} keyOf={({ id }) => id} />
    </>
  );
}

const COLUMNS: readonly Column<EffectiveRow>[] = [
  { title: "Rule", cell: ({ rule }) => rule },
  { title: "Value", cell: ({ value, isReplaced }) => <span className={isReplaced ? styles.struck : ""}>{value}</span> },
  { title: "Policy", cell: (row) => <SourcePolicy row={row} /> },
  {
    title: "Bound to",
    cell: ({ source }) => (source === undefined ? "–" : <PrincipalLink {...source} />),
  },
  {
    title: "Mode",
    cell: ({ source }) => (source === undefined ? <Badge>draft</Badge> : <ModeBadge mode={source.mode} />),
  },
  { title: "Used now", cell: (row) => <Use row={row} /> },
];

function SourcePolicy({ row: { source, isReplaced } }: { readonly row: EffectiveRow }) {
  if (source === undefined) return <strong>this draft</strong>;
  return (
    <>
      <Link href={`/policies/${source.policyId}`}>{source.policyName}</Link>{" "}
      {isReplaced && <Badge kind="warn">replaced by the draft</Badge>}
    </>
  );
}

function Use({ row: { budget, rateLimit, rule } }: { readonly row: EffectiveRow }) {
  if (budget !== undefined) return <BudgetBar spec={budget.spec ?? { limitMicroUsd: 0n }} use={budget} />;
  if (rateLimit === undefined) return <>–</>;
  const used = { Requests: rateLimit.requests, Tokens: rateLimit.tokens }[rule] ?? rateLimit.concurrent;
  return <>{formatCount(used)}</>;
}
