/** Where NATS is, and who this process is there. */
export interface NatsAddress {
  /** `host:port` of one server or of several of one cluster. */
  readonly servers: readonly string[];
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly tls: boolean;
}

const DEFAULT_PORT = 4222;

/**
 * Reads `nats://[user:password@]host[:port]`, or several of them with commas between; `tls://` asks for TLS. The user of
 * the first one holds for all.
 *
 * @returns undefined if it is not that
 */
export function parseNatsUrl(text: string): NatsAddress | undefined {
  const urls = text.split(",").map((part) => URL.parse(part.trim()));
  const valid = urls.filter((url) => url !== null && ["nats:", "tls:"].includes(url.protocol) && url.hostname !== "");
  const [first] = valid;
  if (valid.length !== urls.length || !first) return undefined;
  return {
    servers: valid.map((url) => `${url!.hostname}:${url!.port || DEFAULT_PORT}`),
    user: first.username === "" ? undefined : decodeURIComponent(first.username),
    password: first.password === "" ? undefined : decodeURIComponent(first.password),
    tls: valid.some((url) => url!.protocol === "tls:"),
  };
}
