import { join, resolve } from "node:path";

/** Root of the checkout that this file is part of. */
export const CHECKOUT = resolve(import.meta.dirname, "../../..");

/**
 * Where a local node keeps its state: `$ROUTEPLANE_HOME`, or `.routeplane` in the checkout. Absolute; need not exist.
 */
export function nodeHome(environment: Readonly<Record<string, string | undefined>>): string {
  const named = environment["ROUTEPLANE_HOME"]?.trim();
  return named ? resolve(named) : join(CHECKOUT, ".routeplane");
}

/** What lies where in a node's home. */
export interface HomeLayout {
  readonly home: string;
  /** Postgres's own: the cluster in `data`. Belongs to the OS user that Postgres runs as. */
  readonly postgres: string;
  /** The broker's configuration and its streams. */
  readonly nats: string;
  /** A folder for each gateway: what it has still to tell others. */
  readonly spool: string;
  /** `<role>.pid` of every running process. */
  readonly run: string;
  /** `<role>.log`, appended to. */
  readonly log: string;
  /** Passwords and keys between the node's own processes; 0600. */
  readonly secrets: string;
  /** Exists once the first start has handed out its credentials. */
  readonly seeded: string;
}

export function homeLayout(home: string): HomeLayout {
  return {
    home,
    postgres: join(home, "postgres"),
    nats: join(home, "nats"),
    spool: join(home, "spool"),
    run: join(home, "run"),
    log: join(home, "log"),
    secrets: join(home, "secrets.json"),
    seeded: join(home, "seeded"),
  };
}
