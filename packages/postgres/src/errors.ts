import pg from "pg";
import { DomainError } from "@routeplane/domain";

/** SQLSTATE stays inside the stores: these are the only questions asked of it. */

export function isUniqueViolation(error: unknown, constraint: string): boolean {
  return isViolation(error, "23505", constraint);
}

export function isForeignKeyViolation(error: unknown, constraint: string): boolean {
  return isViolation(error, "23503", constraint);
}

/** A value was refused for what it is (SQLSTATE classes 22 and 23): the same statement fails however often it is tried. */
export function isDataFault(error: unknown): boolean {
  const fault = error instanceof DomainError ? error.cause : error;
  return fault instanceof pg.DatabaseError && ["22", "23"].includes(fault.code?.slice(0, 2) ?? "");
}

function isViolation(error: unknown, code: string, constraint: string): boolean {
  return error instanceof pg.DatabaseError && error.code === code && error.constraint === constraint;
}

/** U+0000 in JSON is a character like any other, and in Postgres none. */
const CHARACTER_NOT_IN_REPERTOIRE = "22021";

/** Connection lost or refused, shutting down, out of connections or resources, or a statement that took too long. */
const UNAVAILABLE_CLASSES: ReadonlySet<string> = new Set(["08", "53", "57"]);

/** An outage, or a text that no text can be, as the domain knows it; anything else as it was. */
export function fromDriverError(error: unknown): unknown {
  if (error instanceof DomainError) return error;
  if (error instanceof pg.DatabaseError && error.code === CHARACTER_NOT_IN_REPERTOIRE) {
    const message = "a text holds a character that cannot be stored (U+0000)";
    return new DomainError("invalid_argument", "FIELD_INVALID", message, { cause: error });
  }
  const outage =
    error instanceof pg.DatabaseError
      ? UNAVAILABLE_CLASSES.has(error.code?.slice(0, 2) ?? "")
      : error instanceof Error && isConnectionFailure(error);
  if (!outage) return error;
  return unavailable("the database does not answer; try again", error);
}

export function unavailable(message: string, cause?: unknown): DomainError {
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, {
    metadata: { dependency: "postgres" },
    cause,
  });
}

/** The driver reports lost connections and its own time-outs by errno code or, failing that, only in words. */
function isConnectionFailure(error: Error & { code?: unknown }): boolean {
  if (typeof error.code === "string" && /^E[A-Z]+$/.test(error.code)) return true;
  return /connection terminated|timeout|client has encountered a connection error|not queryable/i.test(error.message);
}
