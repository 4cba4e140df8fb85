import { BlockList, isIPv4 } from "node:net";
import { canonicalAddress } from "./ip-address.ts";

type Family = "ipv4" | "ipv6";

/** A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address. */
interface Range {
  readonly network: string;
  readonly prefix: number;
  readonly family: Family;
}

/** Ranges of IP addresses in CIDR notation. A range of IPv4 contains IPv4-mapped IPv6 addresses too. */
export class AddressRanges {
  /** Ranges by family: in one list a range of IPv6 could contain IPv4 addresses. */
  readonly #lists: Readonly<Record<Family, BlockList>> = { ipv4: new BlockList(), ipv6: new BlockList() };
  readonly #isEmpty: boolean;
  /** True if one of the ranges has every address of its family. */
  readonly hasAll: boolean;

  private constructor(ranges: readonly Range[]) {
    for (const { network, prefix, family } of ranges) this.#lists[family].addSubnet(network, prefix, family);
    this.#isEmpty = ranges.length === 0;
    this.hasAll = ranges.some(({ prefix }) => prefix === 0);
  }

  /** @returns undefined if one of the texts is not a range */
  static parse(texts: readonly string[]): AddressRanges | undefined {
    const ranges = texts.map(parseRange);
    return ranges.every((range) => range !== undefined) ? new AddressRanges(ranges) : undefined;
  }

  /** Returns true if `text` is an address in one of the ranges. */
  contains(text: string): boolean {
    const address = this.#isEmpty ? undefined : canonicalAddress(text);
    if (address === undefined) return false;
    const family = familyOf(address);
    return this.#lists[family].check(address, family);
  }
}

function parseRange(text: string): Range | undefined {
  const [, address = "", prefixText] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const network = canonicalAddress(address);
  if (network === undefined) return undefined;
  const family = familyOf(network);
  // The prefix length of an IPv4-mapped network would count bits that an IPv4 address does not have.
  if (prefixText !== undefined && familyOf(address) !== family) return undefined;
  const bits = family === "ipv4" ? 32 : 128;
  const prefix = Number(prefixText ?? bits);
  return prefix <= bits ? { network, prefix, family } : undefined;
}

function familyOf(address: string): Family {
  return isIPv4(address) ? "ipv4" : "ipv6";
}
