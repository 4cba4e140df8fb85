import { DomainError } from "@routeplane/domain";
import { expect, it } from "vitest";
import { eachDespiteFaults } from "./despite-faults.ts";

const unavailable = new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "too many transactions are waiting");

/** Works on 20 items, of which some fail. @returns the items that were tried, and the fault */
async function workOn(faultOf: (item: number) => Error | undefined) {
  const tried: number[] = [];
  const work = async (item: number): Promise<void> => {
    tried.push(item);
    const fault = faultOf(item);
    if (fault !== undefined) throw fault;
  };
  const fault = await eachDespiteFaults(Array.from({ length: 20 }).keys(), work).catch((error: unknown) => error);
  return { tried, fault };
}

it("works on the other items although some fail, and throws the first fault", async () => {
  const [first, second] = [new Error("first"), new Error("second")];
  const { tried, fault } = await workOn((item) => ({ 3: first, 7: second, 8: unavailable })[item]);
  expect([tried.length, fault]).toEqual([20, first]);
});

it("works on the other items although a few in a row are unavailable, time and again", async () => {
  const { tried, fault } = await workOn((item) => (item % 5 === 0 ? undefined : unavailable));
  expect([tried.length, fault]).toEqual([20, unavailable]);
});

it("leaves the other items out during an outage", async () => {
  const { tried, fault } = await workOn((item) => (item < 2 ? undefined : unavailable));
  expect([tried.at(-1), fault]).toEqual([6, unavailable]);
});
