import type pg from "pg";

/** Longest wait of a caller for a connection, in milliseconds. */
export const CONNECT_TIMEOUT_MS = 2_000;

/**
 * Longest time to open a connection, in milliseconds. It serves later callers if the first one has given up: were it given up too, none
 * would ever be open where that takes longer than callers wait, as on a machine whose processes wait for a core.
 */
export const OPEN_TIMEOUT_MS = 5_000;

/** Waits for a client of a pool, which keeps one that comes too late. @throws Error after `CONNECT_TIMEOUT_MS` */
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
