import { formatTime } from "../format/time.ts";
import { isRangeName, type RangeFilters } from "../format/time-range.ts";
import { useTimeZone } from "../format/use-time-zone.ts";
import type { Chip } from "./chips.tsx";

/** Chip for the range of a list: its name, or its two times in the reader's time zone. */
export function useRangeChip(
  { range, from, to }: RangeFilters,
  onChange: (change: Partial<Record<keyof RangeFilters, string>>) => void,
): Chip {
  const [timeZone] = useTimeZone();
  const label = "Range";
  if (!(Date.parse(from) < Date.parse(to))) {
    return { label, value: isRangeName(range) ? range : "", onRemove: () => onChange({ range: "" }) };
  }
  const [start, end] = [from, to].map((text) => formatTime(new Date(text), timeZone));
  return { label, value: `${start} – ${end}`, onRemove: () => onChange({ from: "", to: "" }) };
}
