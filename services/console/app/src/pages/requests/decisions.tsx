import type { GuardrailDecision, LoggedRequest, Receipt } from "@routeplane/contracts/usage";
import type { ReactNode } from "react";
import { CopyableId } from "../../components/copyable-id.tsx";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { PolicyLink } from "../../components/policy-link.tsx";
import { formatCount } from "../../format/money.ts";

/** Effect of one policy on a request. */
interface Decision {
  readonly effect: string;
  readonly policyId: string;
  readonly bindingId: string;
  readonly rule: string;
  /** Name of a content pattern. */
  readonly detail?: ReactNode;
}

/** Effects of policies on a request: its denial, the actions of guardrails, and shadow denials. */
export function Decisions({
  request,
  receipt,
}: {
  readonly request: LoggedRequest;
  readonly receipt: Receipt | undefined;
}) {
  const decisions = decisionsOf(request, receipt);
  if (decisions.length === 0) return <EmptyState title="No policy refused or changed the request." />;
  return (
    <DataTable
      caption="Decisions of policies"
      columns={COLUMNS}
      rows={decisions}
      keyOf={(decision) => String(decisions.indexOf(decision))}
    />
  );
}

const COLUMNS: readonly Column<Decision>[] = [
  { title: "Effect", cell: ({ effect }) => effect },
  { title: "Policy", cell: ({ policyId }) => <PolicyLink id={policyId} /> },
  { title: "Rule", cell: ({ rule }) => <code>{rule}</code> },
  { title: "Pattern", cell: ({ detail }) => detail ?? "–" },
  { title: "Binding", cell: ({ bindingId }) => <CopyableId id={bindingId} />, isOptional: true },
];

function decisionsOf(request: LoggedRequest, receipt: Receipt | undefined): readonly Decision[] {
  const { deniedByPolicyId, deniedByBindingId, deniedRule, shadowDenials } = request;
  return [
    ...(deniedByPolicyId === ""
      ? []
      : [
          { effect: "Refused the request", policyId: deniedByPolicyId, bindingId: deniedByBindingId, rule: deniedRule },
        ]),
    ...(receipt?.guardrailDecisions ?? []).map(guardrailDecision),
    ...shadowDenials.map(({ policyId, bindingId, rule }) => ({
      effect: "Would have refused it (shadow mode)",
      policyId,
      bindingId,
      rule,
    })),
  ];
}

function guardrailDecision(decision: GuardrailDecision): Decision {
  const { policyId, bindingId, rule, pattern } = decision;
  const detail = pattern === "" ? "more than can be judged" : <bdi>{pattern}</bdi>;
  return { effect: guardrailEffect(decision), policyId, bindingId, rule, detail };
}

function guardrailEffect(decision: GuardrailDecision): string {
  const { blockedRequest, blockedResponse, requestRedactions, responseRedactions } = decision;
  const effects = [
    blockedRequest && "blocked the request",
    blockedResponse && "blocked the answer",
    requestRedactions > 0 && `redacted ${formatCount(requestRedactions)} in the request`,
    responseRedactions > 0 && `redacted ${formatCount(responseRedactions)} in the answer`,
  ].filter((effect) => effect !== false);
  const text = effects.join(", ");
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
