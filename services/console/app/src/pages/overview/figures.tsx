import type { GetUsageResponse } from "@routeplane/contracts/usage";
import { formatCount } from "../../format/money.ts";
import { compare } from "./comparison.ts";
import styles from "./figures.module.css";
import { type Measure, type MeasureName, MEASURES, type Totals } from "../../format/measures.ts";

interface FiguresProps {
  readonly totals: GetUsageResponse;
  /** Totals of the previous range; undefined while they are being read, or if they cannot be read. */
  readonly before: Totals | undefined;
  /** Measure that the chart shows. */
  readonly chosen: MeasureName;
  readonly onChoose: (name: MeasureName) => void;
}

const ARROWS = { more: "▲", less: "▼", same: "" } as const;

/** Totals of the range, each compared with the previous range. Choosing one determines what the chart shows. */
export function Figures({ totals, before, chosen, onChoose }: FiguresProps) {
  return (
    <ul className={styles.figures} aria-label="Totals of the range; each shows its chart">
      {Object.entries(MEASURES).map(([name, measure]) => (
        <li key={name}>
          <button
            type="button"
            className={styles.figure}
            aria-pressed={name === chosen}
            onClick={() => onChoose(name as MeasureName)}
          >
            <span className={styles.title}>{measure.title}</span>
            <data className={styles.value} value={String(measure.valueOf(totals))}>
              {measure.format(measure.valueOf(totals))}
            </data>
            <span className={styles.note}>{noteOf(name as MeasureName, totals)}</span>
            {before !== undefined && <Change measure={measure} totals={totals} before={before} />}
          </button>
        </li>
      ))}
    </ul>
  );
}

function Change({
  measure: { valueOf, format },
  totals,
  before,
}: {
  readonly measure: Measure;
  readonly totals: Totals;
  readonly before: Totals;
}) {
  const { direction, text } = compare(valueOf(totals), valueOf(before));
  return (
    <span className={styles.note}>
      {ARROWS[direction] !== "" && <span aria-hidden="true">{ARROWS[direction]} </span>}
      {text}
      {valueOf(before) !== 0n && ` (before: ${format(valueOf(before))})`}
    </span>
  );
}

/** Second line of a figure; empty if it needs none. */
function noteOf(name: MeasureName, totals: GetUsageResponse): string {
  if (name === "tokens") return `${formatCount(totals.promptTokens)} in, ${formatCount(totals.completionTokens)} out`;
  if (name === "refusals" && totals.deniedUnloggedCount > 0n) {
    return `${formatCount(totals.deniedUnloggedCount)} of them counted without a row in the log`;
  }
  return "";
}
