/** Address of NATS, and the user that this process connects as. */
export interface NatsAddress {
  /** `host:port` of one server or of several of one cluster. */
  readonly servers: readonly string[];
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly tls: boolean;
  /** Number of servers of a cluster that keep the stream; undefined to leave it as it is: one server for a new stream. */
  readonly replicas: number | undefined;
}

const DEFAULT_PORT = 4222;
const REPLICAS: ReadonlySet<string> = new Set(["1", "3", "5"]);

/**
 * Parses `nats://[user:password@]host[:port]`, or several of them with commas between; `tls://` asks for TLS. The user of
 * the first one is used for all. `?replicas=3` (or 5) on one of them keeps the stream on so many servers of a cluster: it is
 * in the address because every process that uses the stream must say the same.
 *
 * @returns undefined if the text is no such address
 */
export function parseNatsUrl(text: string): NatsAddress | undefined {
  const parts = text.split(",");
  const urls = parts
    .map((part) => URL.parse(part.trim()))
    .filter((url) => url !== null)
    .filter(isNatsUrl);
  const [first] = urls;
  const replicas = urls.map(({ searchParams }) => searchParams.get("replicas")).find((value) => value !== null);
  if (urls.length !== parts.length || !first || (replicas !== undefined && !REPLICAS.has(replicas))) return undefined;
  return {
    servers: urls.map(({ hostname, port }) => `${hostname}:${port || DEFAULT_PORT}`),
    user: first.username === "" ? undefined : decodeURIComponent(first.username),
    password: first.password === "" ? undefined : decodeURIComponent(first.password),
    tls: urls.some(({ protocol }) => protocol === "tls:"),
    replicas: replicas === undefined ? undefined : Number(replicas),
  };
}

function isNatsUrl({ protocol, hostname }: URL): boolean {
  return (protocol === "nats:" || protocol === "tls:") && hostname !== "";
}
