import { readMetrics } from "@routeplane/runtime";
import { expect, it } from "vitest";
import { type CacheEntry, MemoryBoundedCache } from "./memory-bounded-cache.ts";

interface Item extends CacheEntry {
  readonly name: string;
}

function cacheOf(maxBytes: number) {
  const removed: string[] = [];
  const cache = new MemoryBoundedCache<string, Item>({ maxBytes, onRemove: ({ name }) => void removed.push(name) });
  const put = (name: string, bytes = 10, expiresAt = 100) => cache.put(name, { name, bytes, expiresAt, isUsed: false });
  return { cache, put, removed };
}

it("keeps entries up to its memory, and no more", () => {
  const { cache, put, removed } = cacheOf(30);
  for (const name of ["a", "b", "c"]) put(name);
  expect([cache.bytes, cache.size]).toEqual([30, 3]);
  put("large", 25);
  expect([cache.bytes, cache.size]).toEqual([25, 1]);
  expect(removed).toEqual(["a", "b", "c"]);
  put("larger than all", 31);
  expect(cache.find("larger than all", 0)).toBeUndefined();
  expect(cache.bytes).toBe(0);
});

it("evicts unused entries before used ones", () => {
  const { cache, put } = cacheOf(1_000);
  for (let index = 0; index < 100; index++) put(`${index}`);
  const used = Array.from({ length: 50 }, (_, index) => `${index * 2}`);
  for (const name of used) cache.find(name, 0);
  for (let index = 100; index < 150; index++) put(`${index}`);
  expect(used.filter((name) => cache.find(name, 0) === undefined)).toEqual([]);
  expect(cache.size).toBe(100);
});

it("skips a bounded number of used entries for each that it evicts", () => {
  const { cache, put } = cacheOf(100_000);
  for (let index = 0; index < 10_000; index++) put(`${index}`);
  for (let index = 0; index < 10_000; index++) cache.find(`${index}`, 0);
  put("new");
  expect(cache.bytes).toBeLessThanOrEqual(100_000);
  // The hand skipped the first ones, and evicted the next.
  expect(cache.find("0", 0)).toBeDefined();
  expect(cache.find("1000", 0)).toBeUndefined();
});

it("finds no entry from its expiry on, and replaces one that is put again", () => {
  const { cache, put, removed } = cacheOf(100);
  put("a", 10, 100);
  expect(cache.find("a", 99)).toBeDefined();
  put("a", 20, 200);
  expect(cache.bytes).toBe(20);
  expect(cache.find("a", 199)).toBeDefined();
  expect(cache.find("a", 200)).toBeUndefined();
  expect([cache.bytes, removed.length]).toEqual([0, 2]);
});

it("keeps entries in use when the hand goes round many times", () => {
  const { cache, put } = cacheOf(1_000);
  put("hot");
  for (let index = 0; index < 10_000; index++) {
    put(`cold ${index}`);
    expect(cache.find("hot", 0)).toBeDefined();
  }
  cache.clear();
  expect([cache.bytes, cache.size]).toEqual([0, 0]);
  put("a");
  expect(cache.find("a", 0)).toBeDefined();
});

it("counts look-ups and evictions, and shows its size, under its name", async () => {
  const cache = new MemoryBoundedCache<string, Item>({ maxBytes: 30, name: "guardrail_answers" });
  const put = (name: string) => cache.put(name, { name, bytes: 10, expiresAt: 100, isUsed: false });
  for (const name of ["a", "b", "c", "d"]) put(name);
  for (const name of ["a", "b", "c", "d"]) cache.find(name, 0);
  cache.find("b", 0, () => false);
  cache.find("c", 100);
  cache.delete("d");
  put("e");
  const { text } = await readMetrics();
  const lines = text.split("\n").filter((line) => line.includes('cache="guardrail_answers"'));
  expect(lines.toSorted()).toEqual([
    'routeplane_cache_bytes{cache="guardrail_answers"} 10',
    'routeplane_cache_entries{cache="guardrail_answers"} 1',
    'routeplane_cache_evictions_total{cache="guardrail_answers"} 1',
    'routeplane_cache_lookups_total{cache="guardrail_answers",result="hit"} 3',
    'routeplane_cache_lookups_total{cache="guardrail_answers",result="miss"} 3',
    'routeplane_cache_max_bytes{cache="guardrail_answers"} 30',
  ]);
});
