import type { SimulatedKey, SimulatedRule, SimulatePolicyResponse } from "@routeplane/contracts/policy";
import { type Column, DataTable } from "../../../components/data-table.tsx";
import { KeyLink } from "../../../components/key-link.tsx";
import { Money } from "../../../components/money.tsx";
import { Notice } from "../../../components/notice.tsx";
import { Time } from "../../../components/time.tsx";
import { formatCount } from "../../../format/money.ts";
import { fromTimestamp } from "../../../format/time.ts";
import styles from "./preview.module.css";
import { keyBars, MAX_BARS, ruleTitle, simulationSentence } from "./simulated-keys.ts";

/** Result of a simulation: the requests that would have been refused, by key and by rule, and the parts that were not simulated. */
export function SimulationResult({ simulation }: { readonly simulation: SimulatePolicyResponse }) {
  const { requestCount, spendMicroUsd, refusedCount, refusedSpendMicroUsd, byKey, byRule, notSimulated } = simulation;
  return (
    <>
      <p>
        <strong>{simulationSentence(simulation)}</strong> From <Time date={fromTimestamp(simulation.from)} isExact /> to{" "}
        <Time date={fromTimestamp(simulation.to)} isExact />.
      </p>
      {simulation.truncated && (
        <Notice kind="warn">
          There are too many requests to simulate. Only the newest were, from the first of these times on.
        </Notice>
      )}
      {notSimulated.length > 0 && (
        <Notice kind="warn">
          <strong>Not simulated:</strong> {notSimulated.map(ruleTitle).join(", ")}. The request log does not have what
          these rules look at.
        </Notice>
      )}
      <dl className={styles.figures}>
        <div>
          <dt>Refused</dt>
          <dd>
            {formatCount(refusedCount)}
            <small>
              of {formatCount(requestCount)} {requestCount === 1n ? "request" : "requests"}
            </small>
          </dd>
        </div>
        <div>
          <dt>Spend of the refused</dt>
          <dd>
            <Money microUsd={refusedSpendMicroUsd} />
            <small>
              of <Money microUsd={spendMicroUsd} />
            </small>
          </dd>
        </div>
      </dl>
      {byKey.length > 0 && <KeyChart keys={byKey} />}
      {byRule.length > 0 && (
        <>
          <h3>By rule</h3>
          <DataTable caption="Refused by rule" columns={RULE_COLUMNS} rows={byRule} keyOf={({ rule }) => rule} />
        </>
      )}
    </>
  );
}

function KeyChart({ keys }: { readonly keys: readonly SimulatedKey[] }) {
  return (
    <>
      <h3>By key</h3>
      <div className={styles.legend} aria-hidden="true">
        <span>
          <i className={styles.refused} /> refused
        </span>
        <span>
          <i className={styles.admitted} /> let through
        </span>
      </div>
      <ul className={styles.bars}>
        {keyBars(keys).map(({ key, refusedPercent, admittedPercent }) => (
          <li key={key.keyId}>
            <div className={styles.words}>
              <span>
                <KeyLink id={key.keyId} />
              </span>
              <span>
                {formatCount(key.refusedCount)} of {formatCount(key.requestCount)} refused
              </span>
            </div>
            <div className={styles.bar} aria-hidden="true">
              <span className={styles.refused} style={{ width: `${refusedPercent}%` }} />
              <span className={styles.admitted} style={{ width: `${admittedPercent}%` }} />
            </div>
          </li>
        ))}
      </ul>
      <details open={keys.length <= MAX_BARS}>
        <summary>The numbers of {keys.length === 1 ? "the key" : `all ${keys.length} keys`}</summary>
        <DataTable caption="Refused by key" columns={KEY_COLUMNS} rows={keys} keyOf={({ keyId }) => keyId} />
      </details>
    </>
  );
}

const KEY_COLUMNS: readonly Column<SimulatedKey>[] = [
  { title: "Key", cell: ({ keyId }) => <KeyLink id={keyId} /> },
  { title: "Requests", cell: ({ requestCount }) => formatCount(requestCount), isNumber: true },
  { title: "Refused", cell: ({ refusedCount }) => formatCount(refusedCount), isNumber: true },
  {
    title: "Spend of the refused",
    cell: ({ refusedSpendMicroUsd }) => <Money microUsd={refusedSpendMicroUsd} />,
    isNumber: true,
  },
];

const RULE_COLUMNS: readonly Column<SimulatedRule>[] = [
  { title: "Rule", cell: ({ rule }) => <span title={rule}>{ruleTitle(rule)}</span> },
  { title: "Refused", cell: ({ refusedCount }) => formatCount(refusedCount), isNumber: true },
];
