import { describe, expect, it } from "vitest";
import { TrustedProxies } from "./trusted-proxies.ts";

const CLIENT = "198.51.100.7";

/** Address of a client whose connection comes from `peer`, with this header. */
function addressOf(proxies: string, peer: string | undefined, header?: string | string[]): string | undefined {
  const headers = header === undefined ? {} : { "x-forwarded-for": header as string };
  return TrustedProxies.parse(proxies)?.clientAddressOf({ socket: { remoteAddress: peer }, headers });
}

describe("the address of a client", () => {
  it("is that of its connection without trusted proxies, whatever its headers say", () => {
    expect(addressOf("", CLIENT, "192.0.2.1")).toBe(CLIENT);
    expect(addressOf("", "127.0.0.1", "192.0.2.1")).toBe("127.0.0.1");
  });

  it("is that of its connection if that is not a trusted proxy", () => {
    expect(addressOf("10.0.0.0/8", CLIENT, "192.0.2.1")).toBe(CLIENT);
  });

  it("is the right-most one that is not a trusted proxy, and never one that the client has forged left of it", () => {
    expect(addressOf("10.0.0.0/8", "10.0.0.1", CLIENT)).toBe(CLIENT);
    expect(addressOf("10.0.0.0/8", "10.0.0.1", `192.0.2.1, ${CLIENT},10.0.0.2 ,10.0.0.3`)).toBe(CLIENT);
    expect(addressOf("10.0.0.0/8", "10.0.0.1", ["192.0.2.1", `${CLIENT}, 10.0.0.2`])).toBe(CLIENT);
  });

  it.each([
    ["2001:DB8:0:0::7", "2001:db8::7"],
    ["[2001:db8::7]:443", "2001:db8::7"],
    ["[2001:db8::7]", "2001:db8::7"],
    [`${CLIENT}:50123`, CLIENT],
    [`::ffff:${CLIENT}`, CLIENT],
    ["::ffff:c633:6407", CLIENT],
  ])("is read from %s", (entry, address) => {
    expect(addressOf("10.0.0.0/8", "::ffff:10.0.0.1", `192.0.2.1, ${entry}`)).toBe(address);
  });

  it.each(["unknown", "", "198.51.100.7:x", "198.51.100.256", "[198.51.100.7", "_hidden", "::1::", "9".repeat(30_000)])(
    "is that of the proxy whose entry is malformed: %.20j",
    (entry) => {
      expect(addressOf("10.0.0.0/8", "10.0.0.1", `${CLIENT},${entry},10.0.0.2`)).toBe("10.0.0.2");
      expect(addressOf("10.0.0.0/8", "10.0.0.1", `${CLIENT},${entry}`)).toBe("10.0.0.1");
    },
  );

  it("is the first proxy's if there are only proxies, and of the sixteenth if there are more", () => {
    expect(addressOf("10.0.0.0/8", "10.0.0.1", "10.0.0.3, 10.0.0.2")).toBe("10.0.0.3");
    expect(addressOf("10.0.0.0/8", "10.0.0.1")).toBe("10.0.0.1");
    const chain = Array.from({ length: 5_000 }, (_, index) => `10.1.${index >> 8}.${index & 255}`).toReversed();
    expect(addressOf("10.0.0.0/8", "10.0.0.1", `${CLIENT},${chain.join(",")}`)).toBe("10.1.0.15");
  });

  it("is empty once the connection is gone", () => {
    expect(addressOf("10.0.0.0/8", undefined, CLIENT)).toBe("");
  });
});

describe("the list of trusted proxies", () => {
  it("is refused with a malformed range, a range of all addresses, or more than 64 ranges", () => {
    for (const text of [
      "10.0.0.0/8,",
      "proxy",
      "0.0.0.0/0",
      "::/0",
      "10.0.0.0/8,::/0",
      "10.0.0.1,".repeat(64) + "10.0.0.1",
    ]) {
      expect(TrustedProxies.parse(text), text).toBeUndefined();
    }
    expect(TrustedProxies.parse(`${"10.0.0.1,".repeat(63)}10.0.0.1`)).toBeDefined();
  });
});
