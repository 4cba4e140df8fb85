import { expect, it } from "vitest";
import { AddressRanges } from "./address-ranges.ts";

it.each([
  ["10.1.2.3/8", "10.200.0.1", true],
  ["10.0.0.0/8", "11.0.0.1", false],
  ["192.0.2.1", "192.0.2.1", true],
  ["192.0.2.1", "192.0.2.2", false],
  ["10.0.0.0/8", "::ffff:10.9.9.9", true],
  ["10.0.0.0/8", "::ffff:a09:909", true],
  ["::ffff:192.0.2.1", "192.0.2.1", true],
  ["2001:db8::/33", "2001:DB8:0:0::1", true],
  ["2001:db8::/33", "2001:db8:8000::1", false],
  ["fe80::/10", "fe80::1%eth0", true],
  ["10.0.0.0/8", "2001:db8::1", false],
  ["::/0", "10.0.0.1", false],
  ["10.0.0.0/8", "proxy.example.com", false],
])("of %s contain %s: %s", (range, address, isContained) => {
  expect(AddressRanges.parse([range])?.contains(address)).toBe(isContained);
});

it.each([
  "",
  "10.0.0.0/33",
  "2001:db8::/129",
  "10.0.0.0/",
  "10.0.0.0/8/8",
  "10.0.0/8",
  "::ffff:10.0.0.0/104",
  "fe80::%eth0/10",
  "a.example",
])("are not parsed from %j", (text) => {
  expect(AddressRanges.parse(["192.0.2.1", text])).toBeUndefined();
});
