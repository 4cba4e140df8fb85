import fc from "fast-check";
import { expect, test } from "vitest";
import { choosePartitions, type Replica } from "./partition-ownership.ts";

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
        // Owned before: also partitions that are no more.
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

test("a partition that another process has is never taken", () => {
  const others = [{ id: "a", partitions: [0, 1, 2, 3, 4, 5, 6, 7] }];
  expect(choosePartitions("b", others, 8)).toEqual([]);
});

test("a new process takes from the others only what it gets", () => {
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
