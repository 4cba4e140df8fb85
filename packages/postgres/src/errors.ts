import pg from "pg";
import { DomainError } from "@routeplane/domain";

/** Meanings of SQLSTATE codes. The codes themselves do not leave the stores. */

const CHECK_VIOLATION = "23514";

/** True if a row violates this unique constraint or index; of a partitioned table, the one of a partition. */
export function isUniqueViolation(error: unknown, constraint: string | RegExp): boolean {
  return isViolation(error, "23505", constraint);
}

/** True if a row violates this foreign key. */
export function isForeignKeyViolation(error: unknown, constraint: string): boolean {
  return isViolation(error, "23503", constraint);
}

/** True if Postgres refused a value (SQLSTATE classes 22 and 23): the same statement fails at every attempt. */
export function isDataFault(error: unknown): boolean {
  const fault = error instanceof DomainError ? error.cause : error;
  // A violation without the name of a constraint is of a partition that was created meanwhile: the same row fits the new one.
  return (
    fault instanceof pg.DatabaseError &&
    ["22", "23"].includes(fault.code?.slice(0, 2) ?? "") &&
    !(fault.code === CHECK_VIOLATION && fault.constraint === undefined)
  );
}

/** True if a statement did not get a lock in time, or was cancelled to resolve a deadlock: it may succeed when it is repeated. */
export function isLockFailure(error: unknown): boolean {
  return error instanceof pg.DatabaseError && LOCK_FAILURES.has(error.code ?? "");
}

/** True if a table does not exist, or not for this role. */
export function isUnreadableTable(error: unknown): boolean {
  return error instanceof pg.DatabaseError && UNREADABLE.has(error.code ?? "");
}

/** True if the server refused the role or its password. */
export function isRefusedLogin(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code?.slice(0, 2) === REFUSED_LOGIN_CLASS;
}

function isViolation(error: unknown, code: string, constraint: string | RegExp): boolean {
  if (!(error instanceof pg.DatabaseError) || error.code !== code) return false;
  return typeof constraint === "string" ? error.constraint === constraint : constraint.test(error.constraint ?? "");
}

/** SQLSTATE for U+0000, which JSON permits and Postgres cannot store. */
const CHARACTER_NOT_IN_REPERTOIRE = "22021";

/** SQLSTATEs `lock_not_available` and `deadlock_detected`. */
const LOCK_FAILURES: ReadonlySet<string> = new Set(["55P03", "40P01"]);

/** SQLSTATEs `undefined_table`, `invalid_schema_name` and `insufficient_privilege`. */
const UNREADABLE: ReadonlySet<string> = new Set(["42P01", "3F000", "42501"]);

/** SQLSTATE class of a login that is refused: unknown role, wrong password, or an address that may not connect. */
const REFUSED_LOGIN_CLASS = "28";

/** SQLSTATE classes of an outage: connection lost or refused, login refused, out of resources, shutting down or statement timed out. */
const UNAVAILABLE_CLASSES: ReadonlySet<string> = new Set(["08", REFUSED_LOGIN_CLASS, "53", "57"]);

/**
 * SQLSTATEs `read_only_sql_transaction`, of a standby or a server whose disk is full, and `idle_in_transaction_session_timeout`, of a process
 * that was suspended.
 */
const UNAVAILABLE: ReadonlySet<string> = new Set(["25006", "25P03"]);

/** The `DomainError` for an outage or an unstorable text; any other error unchanged. */
export function fromDriverError(error: unknown): unknown {
  if (error instanceof DomainError) return error;
  if (error instanceof pg.DatabaseError && error.code === CHARACTER_NOT_IN_REPERTOIRE) {
    const message = "a text holds a character that cannot be stored (U+0000)";
    return new DomainError("invalid_argument", "FIELD_INVALID", message, { cause: error });
  }
  const outage =
    error instanceof pg.DatabaseError
      ? UNAVAILABLE_CLASSES.has(error.code?.slice(0, 2) ?? "") || UNAVAILABLE.has(error.code ?? "")
      : error instanceof Error && isConnectionFailure(error);
  if (!outage) return error;
  return unavailable("the database does not answer; try again", error);
}

/**
 * Refusal of a connection that lasts until somebody changes the connection string, the server or its certificate. The message says what is
 * wrong, and with which variable.
 */
export class ConnectionRefusal extends Error {
  override readonly name = "ConnectionRefusal";
}

/** The `DomainError` UNAVAILABLE for a connection that could not be opened. Its cause says why. */
export function connectionFailure(error: unknown, variable = "ROUTEPLANE_DATABASE_URL"): DomainError {
  if (error instanceof DomainError) return error;
  const refusal = refusalOf(error, variable);
  if (refusal === undefined) return unavailable("the database does not answer; try again", error);
  return unavailable("the service cannot connect to its database; try again later", refusal);
}

/**
 * Converts an error of the driver's `connect` to a lasting refusal; undefined if the next attempt may succeed.
 *
 * @param variable name of the variable that holds the connection string
 */
export function refusalOf(error: unknown, variable: string): ConnectionRefusal | undefined {
  const fault = faultOf(error);
  if (fault === undefined) return undefined;
  return new ConnectionRefusal(`cannot connect to Postgres: ${fault}; see ${variable}`, { cause: error });
}

/**
 * Meanings of the error codes of certificates that cannot be verified. All other codes mean that no trusted authority has signed the
 * certificate.
 */
const CERTIFICATE_FAULTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "the server's certificate has expired: renew it",
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet: compare the clocks",
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another host: connect by a name that is in it",
};
const UNTRUSTED =
  /^(?:UNABLE_TO_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|ERR_TLS_|ERR_SSL_)/;

function faultOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, path, syscall }: Error & ErrorFields = error;
  if (error instanceof pg.DatabaseError)
    return REFUSALS.test(error.code ?? "") ? `the server says: ${error.message}` : undefined;
  if (code === undefined) return isConnectionFailure(error) ? undefined : error.message;
  const known = CERTIFICATE_FAULTS[code];
  if (known !== undefined) return `${known} (${code})`;
  if (UNTRUSTED.test(code))
    return `no trusted authority has signed the server's certificate: check sslrootcert (${code})`;
  return path !== undefined && syscall === "open" ? `the file ${path} cannot be read (${code})` : undefined;
}

interface ErrorFields {
  readonly code?: string;
  readonly path?: string;
  readonly syscall?: string;
}

/** SQLSTATEs of a login that is refused (role, password, TLS or address), and of a database that does not exist or may not be used. */
const REFUSALS = /^(?:28|3D000$|42501$)/;

export function unavailable(message: string, cause?: unknown): DomainError {
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, {
    metadata: { dependency: "postgres" },
    cause,
  });
}

/** True for lost connections and the driver's own time-outs, which it reports by errno code or only in the message. */
function isConnectionFailure(error: Error & { code?: unknown }): boolean {
  if (typeof error.code === "string" && /^E[A-Z]+$/.test(error.code)) return true;
  return /connection terminated|timeout|client has encountered a connection error|not queryable/i.test(error.message);
}
