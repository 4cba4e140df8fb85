/** Text of a budget window after an amount, e.g. `in total`, `per day` or `per calendar_month Europe/Berlin`. */
export function budgetWindowText(budget: { readonly window: string; readonly time_zone?: string }): string {
  const { window, time_zone } = budget;
  if (window === "total") return "in total";
  return time_zone === undefined ? `per ${window}` : `per ${window} ${time_zone}`;
}
