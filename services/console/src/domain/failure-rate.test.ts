import { expect, it } from "vitest";
import { FailureRate } from "./failure-rate.ts";

function open() {
  const clock = { nowMs: 0 };
  const rate = new FailureRate(() => clock.nowMs);
  const fail = (address: string, times: number): void => {
    for (let count = 0; count < times; count++) rate.begin(address);
  };
  return { clock, rate, fail };
}

it("lets an address fail 20 times in a minute, then returns how long it has to wait", () => {
  const { clock, rate, fail } = open();
  fail("192.0.2.1", 19);
  expect(rate.waitOf("192.0.2.1")).toBe(0);
  fail("192.0.2.1", 1);
  clock.nowMs = 20_000;
  expect([rate.waitOf("192.0.2.1"), rate.waitOf("192.0.2.2")]).toEqual([40, 0]);
  clock.nowMs = 60_000;
  expect(rate.waitOf("192.0.2.1")).toBe(0);
});

it("counts sign-ins that have not ended, until they succeed", () => {
  const { rate, fail } = open();
  fail("192.0.2.1", 19);
  const succeeded = rate.begin("192.0.2.1");
  expect(rate.waitOf("192.0.2.1")).toBe(60);
  succeeded();
  expect(rate.waitOf("192.0.2.1")).toBe(0);
});

it("counts IPv6 clients by their /64 network", () => {
  const { rate, fail } = open();
  fail("2001:db8:1:2:aaaa::1", 10);
  fail("2001:db8:1:2:bbbb:0:0:2", 10);
  expect(rate.waitOf("2001:db8:1:2::3")).toBe(60);
  expect(rate.waitOf("2001:db8:1:3::3")).toBe(0);
  expect(rate.waitOf("::ffff:192.0.2.1")).toBe(0);
});

it("forgets the address that failed first instead of remembering more than 10,000", () => {
  const { rate, fail } = open();
  fail("192.0.2.1", 20);
  fail("192.0.2.2", 20);
  for (let count = 0; count < 9_999; count++) rate.begin(`10.0.${count >> 8}.${count & 255}`);
  expect([rate.waitOf("192.0.2.1"), rate.waitOf("192.0.2.2")]).toEqual([0, 60]);
});
