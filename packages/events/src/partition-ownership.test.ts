import fc from "fast-check";
import { createLogger } from "@routeplane/runtime";
import { eventually } from "@routeplane/testing";
import { expect, test } from "vitest";
import { choosePartitions, PartitionOwnership, type Replica } from "./partition-ownership.ts";

/** Lets every process choose in turn, `rounds` times. */
function choose(replicas: readonly Replica[], count: number, rounds: number): readonly Replica[] {
  const current = new Map(replicas.map((replica) => [replica.id, replica]));
  for (let round = 0; round < rounds; round++) {
    for (const id of current.keys())
      current.set(id, { id, partitions: choosePartitions(id, [...current.values()], count) });
  }
  return [...current.values()];
}

const ids = fc.uniqueArray(fc.uuid(), { minLength: 1, maxLength: 20 });

test("every partition gets one owner, evenly, whatever the processes owned before", () => {
  fc.assert(
    fc.property(ids, fc.integer({ min: 1, max: 64 }), fc.array(fc.nat(19)), (names, count, before) => {
      const replicas = names.map((id, index) => ({
        id,
        // Includes partitions that no longer exist.
        partitions: before.flatMap((owner, partition) => (owner % names.length === index ? [partition] : [])),
      }));
      const settled = choose(replicas, count, 3);
      const sizes = settled.map(({ partitions }) => partitions.length);
      expect(settled.flatMap(({ partitions }) => partitions).toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: count }, (_, partition) => partition),
      );
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }),
  );
});

test("a partition that another process owns is never taken", () => {
  const others = [{ id: "a", partitions: [0, 1, 2, 3, 4, 5, 6, 7] }];
  expect(choosePartitions("b", others, 8)).toEqual([]);
});

test("no partition moves but those that a new process gets", () => {
  const before = choose(
    [
      { id: "a", partitions: [] },
      { id: "b", partitions: [] },
    ],
    8,
    1,
  );
  const after = choose([...before, { id: "c", partitions: [] }], 8, 3);
  const moved = before.flatMap(({ id, partitions }) => {
    const now = after.find((replica) => replica.id === id)?.partitions ?? [];
    return partitions.filter((partition) => !now.includes(partition));
  });
  expect(after.find(({ id }) => id === "c")?.partitions).toEqual(moved.toSorted((a, b) => a - b));
});

test("a registration that is renewed after its end, as after a freeze, is followed by a change", async () => {
  const stopped = new AbortController();
  const registry = {
    id: "a",
    exchange: async (_durationMs: number, choose: (replicas: readonly Replica[]) => readonly number[]) =>
      void choose([]),
    leave: async () => {},
  };
  // Shorter than the interval of renewals.
  const durationMs = 100;
  const seen: (readonly number[])[] = [];
  const log = createLogger("test", () => "");
  const onChange = (): void => void seen.push(ownership.owned);
  const ownership = new PartitionOwnership(registry, log, stopped.signal, onChange, durationMs);
  ownership.participate(2);
  await eventually(() => seen.length === 1);
  await eventually(() => ownership.owned.length === 0);
  await eventually(() => seen.length === 2);
  expect(seen).toEqual([
    [0, 1],
    [0, 1],
  ]);
  stopped.abort();
  await ownership.end();
});
