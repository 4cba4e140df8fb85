/** Service tiers in answers whose names differ between the wires. The neutral model has the names of the chat wire. */
const READ: ReadonlyMap<string, string> = new Map([["standard", "default"]]);
const WRITTEN: ReadonlyMap<string, string> = new Map([["default", "standard"]]);

/** Reads a tier; an unknown one is kept. */
export function readServiceTier(tier: string): string {
  return READ.get(tier) ?? tier;
}

/** Writes a tier. @returns undefined if there is none */
export function toServiceTier(tier: string | undefined): string | undefined {
  return tier === undefined ? undefined : (WRITTEN.get(tier) ?? tier);
}
