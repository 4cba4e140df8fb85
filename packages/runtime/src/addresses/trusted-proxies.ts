/**
 * Address of the client of an HTTP request, for rate limits and the audit log: the address of the TCP peer or, if the peer is a trusted
 * proxy, the one that the proxy reports. Each proxy appends the address of its peer to the list `X-Forwarded-For`. The list is therefore
 * reliable from its right end up to the first address that is not a trusted proxy. Everything left of that is the client's own claim, and
 * is ignored.
 */
import type { IncomingMessage } from "node:http";
import type { Environment } from "../environment.ts";
import { AddressRanges } from "./address-ranges.ts";
import { canonicalAddress } from "./ip-address.ts";

const MAX_RANGES = 64;
/** Maximum number of proxies in a row. Further entries of the header are not read. */
const MAX_PROXIES = 16;
/** An entry of the header with a port, which some proxies append; an IPv6 address is then in brackets. */
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

  /** @param text ranges separated by commas; empty: no proxy. @returns undefined for a text that breaks the rule */
  static parse(text: string): TrustedProxies | undefined {
    const texts = text === "" ? [] : text.split(",").map((each) => each.trim());
    const ranges = texts.length > MAX_RANGES ? undefined : AddressRanges.parse(texts);
    return ranges === undefined || ranges.hasAll ? undefined : new TrustedProxies(ranges);
  }

  /**
   * Returns the client's address, an IPv4-mapped one as IPv4; empty if it is unknown. If the header is malformed or has only trusted
   * proxies, the address is that of the last proxy that could be read.
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
