import { useQuery } from "@connectrpc/connect-query";
import { type Policy, PolicyService } from "@routeplane/contracts/policy";
import { Link } from "wouter";
import { Badge } from "../../components/badge.tsx";
import { CopyableId } from "../../components/copyable-id.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { KeyLink } from "../../components/key-link.tsx";
import { NeedsScope } from "../../components/needs-scope.tsx";
import { Notice } from "../../components/notice.tsx";
import { Page } from "../../components/page.tsx";
import { Section } from "../../components/section.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { Time } from "../../components/time.tsx";
import { fromTimestamp } from "../../format/time.ts";
import { policyTitle } from "../../format/policy-title.ts";
import { useKeys } from "../../rpc/use-key-names.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";
import { Bindings } from "./bindings.tsx";
import { PolicyActions } from "./policy-actions.tsx";
import styles from "./policy-page.module.css";
import { SpecView } from "./spec-view.tsx";
import { KIND_TITLES, readSpec } from "./spec.ts";

/** Page of one policy: its rules, its bindings and the possible actions. */
export function PolicyPage({ id }: { readonly id: string }) {
  const canRead = holdsScope(useSession(), "policy:read");
  const keys = useKeys();
  const { data, error, refetch } = useQuery(PolicyService.method.getPolicy, { id }, { enabled: canRead });
  const policy = data?.policy;
  const title = policy === undefined ? "Policy" : policyTitle(policy.name, keys);
  return (
    <Page title={title} actions={policy && <PolicyActions policy={policy} />}>
      <Link href="/policies">All policies</Link>
      <NeedsScope scope="policy:read">
        {error !== null && <ErrorNotice error={error} what="The policy cannot be read." onRetry={refetch} />}
        {error === null && policy === undefined && <Skeleton lines={6} />}
        {policy !== undefined && <PolicySections policy={policy} />}
      </NeedsScope>
    </Page>
  );
}

function PolicySections({ policy }: { readonly policy: Policy }) {
  const spec = readSpec(policy.spec);
  const canReadAudit = holdsScope(useSession(), "audit:read");
  return (
    <>
      {policy.disabledAt !== undefined && (
        <Notice kind="warn">
          <strong>Disabled</strong> <Time date={fromTimestamp(policy.disabledAt)} />: it limits nothing until it is
          enabled. Its counters stay.
        </Notice>
      )}
      <Section title="Rules">
        <p className={styles.facts}>
          <Badge>{spec === undefined ? "unknown kind" : KIND_TITLES[spec.kind]}</Badge>
          <CopyableId id={policy.id} />
          <span>
            created <Time date={fromTimestamp(policy.createdAt)} />
            {policy.createdBy !== "" && (
              <>
                {" "}
                by <KeyLink id={policy.createdBy} />
              </>
            )}
          </span>
          {canReadAudit && <Link href={`/audit?target=${policy.id}`}>Changes in the audit log</Link>}
        </p>
        {spec === undefined ? (
          <Notice kind="warn">
            This policy has rules that this version of the console does not know. They are enforced nevertheless.
          </Notice>
        ) : (
          <SpecView spec={spec} />
        )}
      </Section>
      <Section title="Bindings">
        <Bindings policy={policy} spec={spec} />
      </Section>
    </>
  );
}
