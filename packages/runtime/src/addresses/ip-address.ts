import { isIP, SocketAddress } from "node:net";

/** The longest text of an IPv6 address, with a zone. */
const MAX_CHARS = 64;
/** An IPv4 address as IPv6 sockets show it, in its canonical text. */
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/;

/**
 * Returns the canonical text of an IP address, so that texts can be compared: the form of RFC 5952 without a zone, and the IPv4 address for
 * an IPv4-mapped IPv6 address.
 *
 * @returns undefined for a text that is not an IP address
 */
export function canonicalAddress(text: string): string | undefined {
  const family = text.length > MAX_CHARS ? 0 : isIP(text);
  if (family !== 6) return family === 4 ? text : undefined;
  const { address } = new SocketAddress({ address: text, family: "ipv6" });
  return MAPPED.exec(address)?.[1] ?? address;
}
