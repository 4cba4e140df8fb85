/**
 * Address of the client of an HTTP request, as rate limits and the audit log take it: that at the other end of the connection, or, where
 * that is a proxy of the operator's own, the one that the proxy names. `X-Forwarded-For` is a list to which each proxy appends the
 * address that it was connected from, so it is true from its right end up to the first address that is no trusted proxy. Whatever stands
 * left of that one is the client's own claim, and never counts.
 */
import type { IncomingMessage } from "node:http";
import type { Environment } from "../environment.ts";
import { AddressRanges } from "./address-ranges.ts";
import { canonicalAddress } from "./ip-address.ts";

const MAX_RANGES = 64;
/** Most proxies in a row. The header of a request that passed more is read no further. */
const MAX_PROXIES = 16;
/** An entry of the header with a port, which some proxies append; an IPv6 address has brackets then. */
const WITH_PORT = /^(?:\[([^[\]]{1,64})\]|(\d{1,3}(?:\.\d{1,3}){3}))(?::\d{1,5})?$/;

const RULE =
  `must be at most ${MAX_RANGES} addresses or ranges separated by commas, e.g. 10.0.0.0/8,2001:db8::/32, and not all addresses: ` +
  "then any client could name any address";

/** Proxies from whose connections `X-Forwarded-For` counts. */
export class TrustedProxies {
  readonly #ranges: AddressRanges;

  private constructor(ranges: AddressRanges) {
    this.#ranges = ranges;
  }

  /** @param text ranges separated by commas; empty: there is no proxy. @returns undefined for a text that breaks the rule */
  static parse(text: string): TrustedProxies | undefined {
    const texts = text === "" ? [] : text.split(",").map((each) => each.trim());
    const ranges = texts.length > MAX_RANGES ? undefined : AddressRanges.parse(texts);
    return ranges === undefined || ranges.hasAll ? undefined : new TrustedProxies(ranges);
  }

  /**
   * Returns the client's address, an IPv4-mapped one as IPv4; empty if it is unknown. If the header is malformed or has trusted proxies
   * only, the address is that of the last proxy whose word is known.
   */
  clientAddressOf({ socket, headers }: Pick<IncomingMessage, "headers"> & { readonly socket: Peer }): string {
    let address = canonicalAddress(socket.remoteAddress ?? "") ?? "";
    if (!this.#ranges.contains(address)) return address;
    for (const entry of entriesFromRight(headers["x-forwarded-for"])) {
      const named = addressOf(entry);
      if (named === undefined) return address;
      address = named;
      if (!this.#ranges.contains(address)) return address;
    }
    return address;
  }
}

interface Peer {
  readonly remoteAddress?: string | undefined;
}

/** Reads the proxies of a process that people or programs connect to over HTTP. */
export function readTrustedProxies(env: Environment): TrustedProxies {
  return env.parsed("ROUTEPLANE_TRUSTED_PROXIES", RULE, (text) => TrustedProxies.parse(text), "");
}

/** Lists the last entries of a header, the last one first. */
function* entriesFromRight(header: string | readonly string[] | undefined): Generator<string> {
  let rest = typeof header === "string" ? header : (header ?? []).join(",");
  for (let count = 0; count < MAX_PROXIES && rest !== ""; count++) {
    const comma = rest.lastIndexOf(",");
    yield rest.slice(comma + 1).trim();
    rest = rest.slice(0, Math.max(0, comma));
  }
}

function addressOf(entry: string): string | undefined {
  const [, bracketed, dotted] = WITH_PORT.exec(entry) ?? [];
  return canonicalAddress(bracketed ?? dotted ?? entry);
}
