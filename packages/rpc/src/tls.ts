import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { type Environment, SecretFault, type Watched } from "@routeplane/runtime";

/** Certificates in PEM of one process. They have the same meaning as options of a TLS socket or server. */
export interface Certificates {
  /** Certificates of the authorities that peers are verified by; undefined: those of Node.js. */
  readonly ca: string | undefined;
  /** Certificate, followed by intermediate ones, that this process presents as a server, and as a client if it is requested. */
  readonly cert: string | undefined;
  /** Private key of `cert`. */
  readonly key: string | undefined;
}

/** TLS between services. Certificates may change while the process runs: new connections use the present ones. */
export interface ServiceTls {
  readonly certificates: Watched<Certificates>;
  /** True if clients of this process must present a certificate of one of the authorities (mTLS). */
  readonly requiresClientCertificate: boolean;
}

/** Longest handshake of a client. */
const HANDSHAKE_TIMEOUT_MS = 5_000;

/** Switches of the client authentication of a server. */
const CLIENT_AUTH: ReadonlyMap<string, boolean> = new Map([
  ["none", false],
  ["require", true],
]);

/**
 * Reads the certificates of a process. With ROUTEPLANE_TLS_CERT and ROUTEPLANE_TLS_KEY its servers speak TLS alone; clients speak
 * it to `https:` addresses, and verify those by ROUTEPLANE_TLS_CA.
 *
 * @returns undefined if none of the variables is set
 */
export function readTls(env: Environment): ServiceTls | undefined {
  const names = ["ROUTEPLANE_TLS_CERT", "ROUTEPLANE_TLS_KEY", "ROUTEPLANE_TLS_CA"];
  const requiresClientCertificate = env.parsed(
    "ROUTEPLANE_TLS_CLIENT_AUTH",
    "must be none or require",
    (text) => CLIENT_AUTH.get(text),
    "none",
  );
  const isUnset = names.every((name) => [name, `${name}_FILE`].every((each) => env.optionalText(each) === undefined));
  if (isUnset && !requiresClientCertificate) return undefined;
  const certificates = env.parsedSecrets(names, ([cert, key, ca]) => {
    const all = { cert, key, ca };
    requireUsable(all);
    if (requiresClientCertificate && (cert === undefined || ca === undefined))
      throw new SecretFault("ROUTEPLANE_TLS_CLIENT_AUTH is require: certificate, key and authorities are required");
    return all;
  });
  return { certificates, requiresClientCertificate };
}

/** @throws SecretFault for texts that are no certificates, or a key that is not the certificate's */
function requireUsable({ ca, cert, key }: Certificates): void {
  if ((cert === undefined) !== (key === undefined))
    throw new SecretFault("the certificate and its key belong together");
  try {
    for (const text of [ca, cert]) if (text !== undefined) void new X509Certificate(text);
  } catch {
    throw new SecretFault("must hold certificates in PEM");
  }
  try {
    createSecureContext({ ca, cert, key });
  } catch {
    throw new SecretFault("must hold a certificate in PEM and the private key that belongs to it");
  }
}

/** Options of a server that presents the certificates; undefined if there is none to present, so that it speaks clear text. */
export function serverTlsOptions(tls: ServiceTls | undefined) {
  if (tls?.certificates.current.cert === undefined) return undefined;
  const requestCert = tls.requiresClientCertificate;
  const handshakeTimeout = HANDSHAKE_TIMEOUT_MS;
  return { ...tls.certificates.current, requestCert, rejectUnauthorized: requestCert, handshakeTimeout };
}
