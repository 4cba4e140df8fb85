import { expect } from "vitest";

/** Random numbers of a seed (mulberry32), so that a run can be repeated. */
export function prng(seed: number) {
  let state = Math.imul(seed, 2_654_435_761);
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    chance: (p: number) => next() < p,
    int: (n: number) => Math.floor(next() * n),
    amount: (n: number) => BigInt(1 + Math.floor(next() * n)) * 1_000n,
    pick: <T>(all: readonly T[]): T => all[Math.floor(next() * all.length)] ?? expect.fail("nothing to pick from"),
  };
}

export type Random = ReturnType<typeof prng>;

export const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
export const lesser = (a: bigint, b: bigint): bigint => (a < b ? a : b);
