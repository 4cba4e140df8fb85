import { type Environment, SecretFault, type Watched } from "@routeplane/runtime";

/** Address of NATS, and the user that this process connects as. */
export interface NatsAddress {
  /** `host:port` of one server or of several of one cluster. */
  readonly servers: readonly string[];
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly tls: boolean;
  /** Content of a credentials file (JWT and seed), used instead of a password. */
  readonly creds?: string | undefined;
  /** Seed of an nkey, used instead of a password. */
  readonly nkey?: string | undefined;
  /** Certificates in PEM of the authorities by which the server is verified; undefined: those of Node.js. */
  readonly ca?: string | undefined;
  /** Number of servers of a cluster that keep the stream; undefined to leave it as it is: one server for a new stream. */
  readonly replicas: number | undefined;
}

const DEFAULT_PORT = 4222;
const REPLICAS: ReadonlySet<string> = new Set(["1", "3", "5"]);

/**
 * Parses `nats://[user:password@]host[:port]`, or several of them with commas between; `tls://` asks for TLS. The user of the first one is
 * used for all. `?replicas=3` (or 5) on one of them keeps the stream on that many servers of a cluster: it is part of the address because
 * every process that uses the stream must say the same.
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

/**
 * Reads the address of NATS with its current credential: from ROUTEPLANE_NATS_URL, ROUTEPLANE_NATS_CREDS or ROUTEPLANE_NATS_NKEY. With one
 * of the last two, a user in the address only names the subjects for answers.
 */
export function readNatsAddress(env: Environment): Watched<NatsAddress> {
  const names = ["ROUTEPLANE_NATS_URL", "ROUTEPLANE_NATS_CREDS", "ROUTEPLANE_NATS_NKEY", "ROUTEPLANE_NATS_CA"];
  return env.parsedSecrets(names, ([url, creds, nkey, ca]) => {
    if (url === undefined) throw new SecretFault("is required, or ROUTEPLANE_NATS_URL_FILE");
    const address = parseNatsUrl(url);
    if (address === undefined) throw new SecretFault("must be nats://[user:password@]host[:port][,…]");
    if (creds !== undefined && nkey !== undefined) throw new SecretFault("credentials and an nkey: set one of them");
    if (creds !== undefined && !CREDENTIALS.test(creds)) throw new SecretFault("must hold a NATS credentials file");
    if (nkey !== undefined && !NKEY_SEED.test(nkey)) throw new SecretFault("must hold the seed of a user's nkey");
    if (ca !== undefined && !ca.includes("BEGIN CERTIFICATE")) throw new SecretFault("must hold certificates in PEM");
    return { ...address, creds, nkey, ca };
  });
}

const CREDENTIALS = /BEGIN NATS USER JWT[^]*BEGIN USER NKEY SEED/;
const NKEY_SEED = /^SU[A-Z2-7]{56}$/;

function isNatsUrl({ protocol, hostname }: URL): boolean {
  return (protocol === "nats:" || protocol === "tls:") && hostname !== "";
}
