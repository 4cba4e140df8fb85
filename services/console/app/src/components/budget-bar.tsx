import type { BudgetUse } from "@routeplane/contracts/policy";
import { fromTimestamp } from "../format/time.ts";
import styles from "./budget-bar.module.css";
import { shareOf } from "./budget-share.ts";
import { Money } from "./money.tsx";
import { Time } from "./time.tsx";

interface BudgetBarProps {
  /** Limit, and the time zone of a calendar window. */
  readonly spec: { readonly limitMicroUsd: bigint; readonly timeZone?: string | undefined };
  /** Amounts of a `BudgetUse` or an `EffectiveBudget`. */
  readonly use: Pick<BudgetUse, "spentMicroUsd" | "reservedMicroUsd" | "remainingMicroUsd" | "freesUpAt">;
}

/** Budget of one binding: a bar of the spent and reserved amounts, and the exact amounts as text. */
export function BudgetBar({ spec: { limitMicroUsd, timeZone }, use }: BudgetBarProps) {
  const { spentMicroUsd, reservedMicroUsd, remainingMicroUsd, freesUpAt } = use;
  const spent = shareOf(spentMicroUsd, limitMicroUsd);
  const reserved = Math.min(shareOf(reservedMicroUsd, limitMicroUsd), 100 - spent);
  return (
    <div className={styles.budget}>
      <div className={styles.bar} aria-hidden="true">
        <span className={remainingMicroUsd === 0n ? styles.full : styles.spent} style={{ width: `${spent}%` }} />
        <span className={styles.reserved} style={{ width: `${reserved}%` }} />
      </div>
      <span className={styles.words}>
        <Money microUsd={spentMicroUsd} /> spent of <Money microUsd={limitMicroUsd} />
        {reservedMicroUsd > 0n && (
          <>
            , <Money microUsd={reservedMicroUsd} /> reserved
          </>
        )}
        , <Money microUsd={remainingMicroUsd} /> left
        {freesUpAt !== undefined && (
          <>
            , {timeZone === undefined ? "frees up" : "resets"} <Time date={fromTimestamp(freesUpAt)} />
          </>
        )}
      </span>
    </div>
  );
}
