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
  const parts = text.split(",");
  const urls = parts
    .map((part) => URL.parse(part.trim()))
    .filter((url) => url !== null)
    .filter(isNatsUrl);
  const [first] = urls;
  if (urls.length !== parts.length || !first) return undefined;
  return {
    servers: urls.map(({ hostname, port }) => `${hostname}:${port || DEFAULT_PORT}`),
    user: first.username === "" ? undefined : decodeURIComponent(first.username),
    password: first.password === "" ? undefined : decodeURIComponent(first.password),
    tls: urls.some(({ protocol }) => protocol === "tls:"),
  };
}

function isNatsUrl({ protocol, hostname }: URL): boolean {
  return (protocol === "nats:" || protocol === "tls:") && hostname !== "";
}
