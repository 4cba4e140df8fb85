import { type KeyboardEvent, type PointerEvent, useId, useRef, useState } from "react";
import { shortText } from "../../format/short-text.ts";
import { labelledBuckets, layOutColumns, valueTicks } from "./chart-layout.ts";
import { ChartLegend } from "./chart-legend.tsx";
import { ChartTable } from "./chart-table.tsx";
import { ChartTooltip } from "./chart-tooltip.tsx";
import { type Series, sum } from "./series.ts";
import type { TimeBucket } from "./time-buckets.ts";
import styles from "./time-bar-chart.module.css";
import { useWidth } from "./use-width.ts";

interface TimeBarChartProps {
  /** Name of the chart and of its table, e.g. `Spend by key`. */
  readonly caption: string;
  /** From `timeBuckets`. */
  readonly buckets: readonly TimeBucket[];
  /** From `toSeries`, with a value for each bucket. */
  readonly series: readonly Series[];
  /** Exact text of an amount. */
  readonly format: (value: bigint) => string;
  /** Short text of an amount for the axis. */
  readonly formatTick: (value: number) => string;
  /** Called when a bar, or one series of it, is chosen by pointer or keyboard. Absent: bars cannot be chosen. */
  readonly onSelect?: (bucket: TimeBucket, series: Series | undefined) => void;
}

/** Bucket that is pointed at or focused, and the series in it. */
interface Cursor {
  readonly bucket: number;
  readonly series: number | undefined;
}

const HEIGHT = 260;
const TOP = 12;
const BOTTOM = 28;
const RIGHT = 24;
/** Width of a digit, and of a label below the axis with the space around it. Pixels. */
const DIGIT_WIDTH = 7.5;
const LABEL_WIDTH = 54;
const LINES = 4;

/**
 * Bars over time, each a stack of series. Exact numbers are shown on hover and focus, and all of them in a table that can be opened. The
 * chart is one stop of the Tab key: arrow keys move from bar to bar and, up and down, through the series of a bar; Enter chooses. On a
 * touch screen the first tap shows the numbers and the second one chooses.
 */
export function TimeBarChart({ caption, buckets, series, format, formatTick, onSelect }: TimeBarChartProps) {
  const [frame, width] = useWidth<HTMLDivElement>();
  const [cursor, setCursor] = useState<Cursor>();
  const [stop, setStop] = useState(Infinity);
  const touched = useRef<{ readonly wasShown: boolean }>(undefined);
  const hint = useId();

  const last = buckets.length - 1;
  const tabStop = Math.min(stop, last);
  const ticks = valueTicks(maxOf(series, buckets.length), LINES);
  const scaleTop = Math.max(1, ticks.at(-1) ?? 0);
  const left = Math.max(...ticks.map((tick) => formatTick(tick).length)) * DIGIT_WIDTH + 12;
  const area = { left, top: TOP, width: Math.max(0, width - left - RIGHT), height: HEIGHT - TOP - BOTTOM };
  const columns = layOutColumns(series, buckets.length, area, scaleTop);
  const baseline = area.top + area.height;
  const active = cursor !== undefined && cursor.bucket <= last ? cursor : undefined;

  const point = (event: PointerEvent, bucket: number): void => {
    if (event.pointerType !== "touch") setCursor({ bucket, series: seriesOf(event.target) });
  };
  const choose = (bucket: number, chosen: number | undefined): void => {
    const target = buckets[bucket];
    if (target !== undefined) onSelect?.(target, chosen === undefined ? undefined : series[chosen]);
  };
  const click = (target: EventTarget, bucket: number): void => {
    const isFirstTouch = touched.current?.wasShown === false;
    touched.current = undefined;
    if (isFirstTouch) setCursor({ bucket, series: seriesOf(target) });
    else choose(bucket, seriesOf(target));
  };
  const press = (event: KeyboardEvent<SVGGElement>, bucket: number): void => {
    const next = nextCursor(event.key, { bucket, series: active?.series }, last, columns[bucket]?.segments ?? []);
    if (next === "choose") choose(bucket, active?.series);
    else if (next === "hide") setCursor(undefined);
    else if (next === undefined) return;
    else if (next.bucket === bucket) setCursor(next);
    else event.currentTarget.ownerSVGElement?.querySelector<SVGGElement>(`[data-bucket="${next.bucket}"]`)?.focus();
    event.preventDefault();
  };

  return (
    <figure className={styles.chart} aria-label={caption}>
      <ChartLegend series={series} active={active?.series} format={format} />
      <div ref={frame} className={styles.frame}>
        <p id={hint} className="visually-hidden">
          Arrow keys left and right go through time, up and down through the parts of a bar.
          {onSelect !== undefined && " Enter shows the requests."}
        </p>
        {width > 0 && (
          <svg width={width} height={HEIGHT} role="group" aria-label={`Bars: ${caption}`} aria-describedby={hint}>
            <g aria-hidden="true">
              {ticks.map((tick) => {
                const y = baseline - (tick / scaleTop) * area.height;
                return (
                  <g key={tick}>
                    <line className={styles.line} x1={left} x2={width - RIGHT} y1={y} y2={y} />
                    <text className={styles.label} x={left - 8} y={y} dy="0.32em" textAnchor="end">
                      {formatTick(tick)}
                    </text>
                  </g>
                );
              })}
              {labelledBuckets(buckets, area.width / Math.max(1, buckets.length), LABEL_WIDTH).map((index) => {
                const column = columns[index];
                if (column === undefined) return null;
                return (
                  <text
                    key={index}
                    className={styles.label}
                    x={column.left + column.width / 2}
                    y={baseline + 20}
                    textAnchor="middle"
                  >
                    {buckets[index]?.tick}
                  </text>
                );
              })}
            </g>
            <g onPointerLeave={({ pointerType }) => pointerType !== "touch" && setCursor(undefined)}>
              {columns.map((column, bucket) => (
                <g
                  key={buckets[bucket]?.from.getTime()}
                  className={styles.column}
                  data-bucket={bucket}
                  data-active={active?.bucket === bucket}
                  data-choosable={onSelect !== undefined}
                  role={onSelect === undefined ? "img" : "button"}
                  aria-label={describeBar(bucket, buckets, series, format)}
                  tabIndex={bucket === tabStop ? 0 : -1}
                  onFocus={() => {
                    setStop(bucket);
                    setCursor((current) => (current?.bucket === bucket ? current : { bucket, series: undefined }));
                  }}
                  onBlur={() => setCursor(undefined)}
                  onKeyDown={(event) => press(event, bucket)}
                  onPointerMove={(event) => point(event, bucket)}
                  onPointerDown={({ pointerType }) => {
                    touched.current = pointerType === "touch" ? { wasShown: active?.bucket === bucket } : undefined;
                  }}
                  onClick={({ target }) => click(target, bucket)}
                >
                  <rect className={styles.hit} x={column.left} y={area.top} width={column.width} height={area.height} />
                  {column.segments.map((segment) => (
                    <rect
                      key={segment.series}
                      className={styles.segment}
                      data-series={segment.series}
                      data-faded={
                        active?.bucket === bucket && active.series !== undefined && active.series !== segment.series
                      }
                      x={column.barLeft}
                      y={segment.y}
                      width={column.barWidth}
                      height={segment.height}
                    />
                  ))}
                </g>
              ))}
            </g>
          </svg>
        )}
        {active !== undefined && (
          <ChartTooltip
            bucket={buckets[active.bucket]}
            column={columns[active.bucket]}
            series={series}
            index={active.bucket}
            active={active.series}
            width={width}
            format={format}
          />
        )}
        <p className="visually-hidden" aria-live="polite">
          {active?.series !== undefined && describePart(active.bucket, series[active.series], format)}
        </p>
      </div>
      <ChartTable caption={caption} buckets={buckets} series={series} format={format} />
    </figure>
  );
}

/** Largest sum of a bucket. */
function maxOf(series: readonly Series[], bucketCount: number): bigint {
  let max = 0n;
  for (let bucket = 0; bucket < bucketCount; bucket++) {
    const total = sum(series.map(({ values }) => values[bucket] ?? 0n));
    if (total > max) max = total;
  }
  return max;
}

/** Series of the part of a bar that an event is on; undefined for the rest of its column. */
function seriesOf(target: EventTarget): number | undefined {
  const index = target instanceof SVGElement ? target.dataset["series"] : undefined;
  return index === undefined ? undefined : Number(index);
}

/** Effect of a key: it moves the cursor, chooses, or hides the numbers; undefined for keys that the chart does not handle. */
function nextCursor(
  key: string,
  { bucket, series }: Cursor,
  last: number,
  segments: readonly { readonly series: number }[],
): Cursor | "choose" | "hide" | undefined {
  const place = segments.findIndex((segment) => segment.series === series);
  switch (key) {
    case "ArrowLeft":
      return { bucket: Math.max(0, bucket - 1), series: undefined };
    case "ArrowRight":
      return { bucket: Math.min(last, bucket + 1), series: undefined };
    case "Home":
      return { bucket: 0, series: undefined };
    case "End":
      return { bucket: last, series: undefined };
    case "ArrowUp":
      return { bucket, series: segments[Math.min(segments.length - 1, place + 1)]?.series };
    case "ArrowDown":
      return { bucket, series: place < 0 ? undefined : segments[place - 1]?.series };
    case "Enter":
    case " ":
      return "choose";
    case "Escape":
      return "hide";
    default:
      return undefined;
  }
}

function describeBar(
  bucket: number,
  buckets: readonly TimeBucket[],
  series: readonly Series[],
  format: (value: bigint) => string,
): string {
  const parts = series.filter(({ values }) => values[bucket] !== 0n);
  const total = sum(parts.map(({ values }) => values[bucket] ?? 0n));
  const details = parts.map((part) => describePart(bucket, part, format));
  return [`${buckets[bucket]?.label}: ${format(total)}`, ...(details.length > 1 ? details : [])].join("; ");
}

function describePart(bucket: number, series: Series | undefined, format: (value: bigint) => string): string {
  return series === undefined ? "" : `${shortText(series.name)} ${format(series.values[bucket] ?? 0n)}`;
}
