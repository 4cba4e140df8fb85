import type { Faults } from "./spec-faults.ts";

/** Texts of JSON faults, rewritten for the form, whose fields have other units. */
const FORM_RULES: readonly (readonly [RegExp, string])[] = [
  [/\.limit_micro_usd$/, "must be an amount in USD above 0, such as 25 or 0.50, up to 9,000,000,000"],
  [/\.window_secs$/, "must be a whole number; the window is at most 30 days"],
];

/** Converts the faults of JSON to those of the form that made it. */
export function toFormFaults(faults: Faults): Faults {
  return new Map(
    Array.from(faults, ([path, rule]) => {
      const [, formRule] = FORM_RULES.find(([field]) => field.test(path)) ?? [];
      return [path, formRule ?? rule.replace(/^must set at least one of .*$/s, "must set at least one rule")];
    }),
  );
}

/** Faults to show: those of edited fields, or all after an attempt to save. An edited entry counts as an edit of its list. */
export function shownFaults(faults: Faults, edited: ReadonlySet<string>, areAllShown: boolean): Faults {
  if (areAllShown) return faults;
  const isEdited = (path: string): boolean =>
    [...edited].some((field) => path === field || path.startsWith(`${field}[`));
  return new Map([...faults].filter(([path]) => isEdited(path)));
}

/** Fault of a field; for a list, the fault of its first faulty entry. */
export function faultAt(faults: Faults, path: string): string | undefined {
  const rule = faults.get(path);
  if (rule !== undefined) return sentence(rule);
  for (const [at, entryRule] of faults) {
    const index = at.startsWith(`${path}[`) ? /^\[(\d+)\]$/.exec(at.slice(path.length))?.[1] : undefined;
    if (index !== undefined) return `Entry ${Number(index) + 1} ${entryRule}.`;
  }
  return undefined;
}

function sentence(rule: string): string {
  return `${rule.slice(0, 1).toUpperCase()}${rule.slice(1)}${/[.!?]$/.test(rule) ? "" : "."}`;
}
