import { useQuery } from "@connectrpc/connect-query";
import { PolicyService, PrincipalType } from "@routeplane/contracts/policy";
import type { LoggedRequest, Receipt } from "@routeplane/contracts/usage";
import { adviceOf, type LimitUnit, limitUnitOf, reasonOf } from "@routeplane/explanations";
import { Facts } from "../../components/facts.tsx";
import { KeyLink } from "../../components/key-link.tsx";
import { PolicyLink } from "../../components/policy-link.tsx";
import { formatCount, formatUsd } from "../../format/money.ts";
import { statusNameOf } from "../../format/request-status.ts";
import { formatTime, fromTimestamp } from "../../format/time.ts";
import { useTimeZone } from "../../format/use-time-zone.ts";
import { usePoliciesById } from "../../rpc/use-policies.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";
import styles from "./explanation.module.css";

/** Maximum number of bindings that are searched for the one that denied; a policy cannot have more. */
const MAX_BINDINGS = 1_000;

interface ExplanationProps {
  readonly request: LoggedRequest;
  readonly receipt: Receipt | undefined;
}

/** Explanation of how a request ended, in a sentence, with advice for its caller. */
export function Explanation({ request, receipt }: ExplanationProps) {
  const { status, errorCode, estimated, deniedRule, deniedByPolicyId } = request;
  const [timeZone] = useTimeZone();
  const name = usePoliciesById(deniedByPolicyId !== "").get(deniedByPolicyId)?.name;
  const retryAt = fromTimestamp(receipt?.deniedAmounts?.retryAt);
  const end = {
    status: statusNameOf(status),
    errorCode: errorCode || null,
    estimated,
    deniedRule: deniedRule || null,
    policy: deniedByPolicyId === "" ? null : { id: deniedByPolicyId, name: name === undefined ? null : isolated(name) },
    retryAt: retryAt === undefined ? null : formatTime(retryAt, timeZone),
  };
  const advice = adviceOf(end);
  return (
    <div className={styles.explanation}>
      <p className={styles.reason}>{sentenceOf(reasonOf(end))}</p>
      {advice.length > 0 && (
        <ul>
          {advice.map((step) => (
            <li key={step}>{sentenceOf(step)}</li>
          ))}
        </ul>
      )}
      {deniedByPolicyId !== "" && <DenialFacts request={request} receipt={receipt} />}
      {request.upstreamError !== "" && (
        <figure className={styles.upstream}>
          <figcaption>The upstream said:</figcaption>
          <blockquote dir="auto">{request.upstreamError}</blockquote>
        </figure>
      )}
    </div>
  );
}

function DenialFacts({ request, receipt }: ExplanationProps) {
  const { deniedByPolicyId, deniedByBindingId, deniedRule } = request;
  const enabled = holdsScope(useSession(), "policy:read") && deniedByBindingId !== "";
  const input = { policyId: deniedByPolicyId, pageSize: MAX_BINDINGS };
  const { data } = useQuery(PolicyService.method.listBindings, input, { enabled, staleTime: 60_000, retry: false });
  const binding = data?.bindings.find(({ id }) => id === deniedByBindingId);
  const amounts = receipt?.deniedAmounts;
  const unit = limitUnitOf(deniedRule);
  const amount = (value: bigint): string => amountText(value, unit);
  return (
    <Facts
      facts={[
        ["Policy", <PolicyLink key="policy" id={deniedByPolicyId} />],
        ["Rule", deniedRule],
        [
          "Bound to",
          binding === undefined ? undefined : binding.principalType === PrincipalType.API_KEY ? (
            <KeyLink id={binding.principalId} />
          ) : (
            "the namespace"
          ),
        ],
        ["Left", amounts && `${amount(amounts.remaining)} of ${amount(amounts.limit)}`],
        ["Needed", amounts && `at least ${amount(amounts.needed)}`],
        ["Waiting", amounts && amounts.retryAt === undefined ? "does not help" : undefined],
      ]}
    />
  );
}

function amountText(value: bigint, unit: LimitUnit | undefined): string {
  if (unit === "micro_usd") return formatUsd(value);
  return unit === "requests_at_once" ? `${formatCount(value)} at the same time` : `${formatCount(value)} ${unit ?? ""}`;
}

/** Converts a text to a sentence, with a capital and a full stop. */
function sentenceOf(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}

/** Name from a client within a sentence, isolated so that its characters cannot change the writing direction of the rest. */
function isolated(name: string): string {
  return `\u2068${name.replaceAll(/[\u2066-\u2069\u202A-\u202E]/g, "")}\u2069`;
}
