/** Service tiers that answers report: the neutral model has the words of the chat wire. Others are the same on both wires. */
const READ: ReadonlyMap<string, string> = new Map([["standard", "default"]]);
const WRITTEN: ReadonlyMap<string, string> = new Map([["default", "standard"]]);

/** Reads a tier; one that is not known is kept. */
export function readServiceTier(tier: string): string {
  return READ.get(tier) ?? tier;
}

/** Writes a tier. @returns undefined if there is none */
export function toServiceTier(tier: string | undefined): string | undefined {
  return tier === undefined ? undefined : (WRITTEN.get(tier) ?? tier);
}
