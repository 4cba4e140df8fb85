import type pg from "pg";

/** Longest wait of a caller for a connection, in milliseconds. */
export const CONNECT_TIMEOUT_MS = 2_000;

/**
 * Longest time to open a connection, in milliseconds. Longer than a caller waits: a connection that opens late serves later callers.
 * Otherwise no connection would ever open on a machine where it takes longer than callers wait, e.g. because all cores are busy.
 */
export const OPEN_TIMEOUT_MS = 5_000;

/** Waits for a client of a pool. A client that comes too late goes back to the pool. @throws Error after `CONNECT_TIMEOUT_MS` */
export async function connectInTime(connecting: Promise<pg.PoolClient>): Promise<pg.PoolClient> {
  const late = Promise.withResolvers<never>();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    late.reject(new Error("timeout exceeded when trying to connect"));
  }, CONNECT_TIMEOUT_MS);
  connecting.then(
    (client) => isLate && client.release(),
    () => {},
  );
  try {
    return await Promise.race([connecting, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
