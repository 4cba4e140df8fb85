import { useQuery } from "@connectrpc/connect-query";
import { PolicyService } from "@routeplane/contracts/policy";
import { Link } from "wouter";
import type { Column } from "../../components/data-table.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { shortText } from "../../format/short-text.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";
import styles from "./key-list.module.css";
import { type KeyLimits, keyLimitsOf } from "./key-limits.ts";
import type { TreeRow } from "./key-tree.ts";

/** Maximum number of policies of a namespace: one page holds all. */
const MAX_POLICIES = 1_000;
/** Maximum number of rules that the row of a key shows. */
const MAX_LINES = 3;

/** Column of the list with the limits of the keys themselves, by one read for all keys. Absent without the scope `policy:read`. */
export function useKeyLimits() {
  const enabled = holdsScope(useSession(), "policy:read");
  const { data, error, refetch } = useQuery(PolicyService.method.listPolicies, { pageSize: MAX_POLICIES }, { enabled });
  const limits = data && keyLimitsOf(data.policies);
  const column: Column<TreeRow> = {
    title: "Own limits",
    cell: ({ branch }) => limits && <Limits limits={limits} keyId={branch.key.id} />,
    isOptional: true,
  };
  return {
    columns: limits === undefined ? [] : [column],
    notice: error !== null && limits === undefined && (
      <ErrorNotice error={error} what="The limits of keys cannot be read." onRetry={refetch} />
    ),
  };
}

function Limits({ limits: { byKey, isWhole }, keyId }: { readonly limits: KeyLimits; readonly keyId: string }) {
  const own = byKey.get(keyId) ?? [];
  if (own.length === 0) return <span className={styles.soft}>{isWhole ? "none" : "see its page"}</span>;
  return (
    <ul className={styles.limits}>
      {own.slice(0, MAX_LINES).map(({ id, rule, value, policyId, policyName, isShadow }) => (
        <li key={id}>
          <Link href={`/policies/${policyId}`} title={policyName}>
            {rule}: {shortText(value)}
          </Link>
          {isShadow && " (shadow)"}
        </li>
      ))}
      {own.length > MAX_LINES && <li>and {own.length - MAX_LINES} more</li>}
    </ul>
  );
}
