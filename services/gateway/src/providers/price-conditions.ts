import type { ConditionalPrice, ModelInfo, ModelPrice } from "@pydantic/genai-prices";

/** Prices of a catalogue entry in one period; undefined if it has none that are known to apply. */
export interface PricePeriod {
  readonly price: ModelPrice | undefined;
  /** First moment of the period, in ms since the epoch; -Infinity if the prices never changed before. */
  readonly fromMs: number;
  /** First moment after the period; Infinity if no change is known. */
  readonly untilMs: number;
}

type Prices = ModelInfo["prices"];
type Condition = NonNullable<ConditionalPrice["constraint"]>;

/**
 * Finds the prices that apply at a moment, and the longest period around it in which no condition changes. The last entry whose condition
 * holds applies, as the catalogue defines it. A condition of an unknown kind may hold or not, so that no entry before it is known to apply.
 */
export function periodAt(prices: Prices, atMs: number): PricePeriod {
  if (!Array.isArray(prices)) return { price: prices, fromMs: -Infinity, untilMs: Infinity };
  const changes = prices.flatMap(({ constraint }) => (constraint === undefined ? [] : changesAround(constraint, atMs)));
  return {
    price: priceAt(prices, atMs),
    fromMs: Math.max(-Infinity, ...changes.filter((change) => change <= atMs)),
    untilMs: Math.min(Infinity, ...changes.filter((change) => change > atMs)),
  };
}

/** Every set of prices that an entry has at any time. */
export function allPrices(prices: Prices): readonly ModelPrice[] {
  return Array.isArray(prices) ? prices.map((entry) => entry.prices) : [prices];
}

function priceAt(entries: readonly ConditionalPrice[], atMs: number): ModelPrice | undefined {
  for (const { constraint, prices } of entries.toReversed()) {
    const holds = constraint === undefined || isInForce(constraint, atMs);
    if (holds === undefined) return undefined;
    if (holds) return prices;
  }
  return undefined;
}

const DAY_MS = 24 * 3_600_000;

/** True if a condition holds; undefined if that is not known. */
function isInForce(condition: Condition, atMs: number): boolean | undefined {
  switch (condition.type) {
    case "start_date": {
      const startMs = Date.parse(condition.start_date);
      return Number.isNaN(startMs) ? undefined : atMs >= startMs;
    }
    case "time_of_date": {
      const [start, end] = [msOfDay(condition.start_time), msOfDay(condition.end_time)];
      if (start === undefined || end === undefined) return undefined;
      const now = modulo(atMs, DAY_MS);
      // A period may span midnight.
      return start <= end ? now >= start && now < end : now >= start || now < end;
    }
    default: {
      return undefined;
    }
  }
}

/** Moments next to `atMs`, before and after, at which a condition may change. */
function changesAround(condition: Condition, atMs: number): readonly number[] {
  if (condition.type === "start_date") return [Date.parse(condition.start_date)].filter(Number.isFinite);
  if (condition.type !== "time_of_date") return [];
  return [condition.start_time, condition.end_time].flatMap((time) => {
    const change = msOfDay(time);
    if (change === undefined) return [];
    const last = atMs - modulo(atMs - change, DAY_MS);
    return [last, last + DAY_MS];
  });
}

const TIME = /^(\d{2}):(\d{2})(?::(\d{2})(\.\d+)?)?(?:Z|([+-])(\d{2}):(\d{2}))$/;

/** Milliseconds from midnight UTC to a time with an offset, e.g. `16:30:00Z`; undefined if it is none. */
function msOfDay(time: string): number | undefined {
  const match = TIME.exec(time);
  if (match === null) return undefined;
  const [, hours, minutes, seconds = "0", fraction = "0", sign, offsetHours = "0", offsetMinutes = "0"] = match;
  const [h, m, s] = [Number(hours), Number(minutes), Number(seconds)];
  if (h > 23 || m > 59 || s > 59 || Number(offsetHours) > 23 || Number(offsetMinutes) > 59) return undefined;
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === "-" ? -1 : 1);
  return modulo(((h * 60 + m - offset) * 60 + s + Number(fraction)) * 1_000, DAY_MS);
}

function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}
