import { join, resolve } from "node:path";

/** Root of the checkout that this file is part of. */
export const CHECKOUT = resolve(import.meta.dirname, "../../..");

/**
 * Folder in which a local node keeps its state: `$ROUTEPLANE_HOME`, or `.routeplane` in the checkout. Absolute; need not exist.
 */
export function nodeHome(environment: Readonly<Record<string, string | undefined>>): string {
  const named = environment["ROUTEPLANE_HOME"]?.trim();
  return named ? resolve(named) : join(CHECKOUT, ".routeplane");
}

/** Paths in the home of a node. */
export interface HomeLayout {
  readonly home: string;
  /** Folder of Postgres, with the cluster in `data`. It belongs to the OS user that Postgres runs as. */
  readonly postgres: string;
  /** Folder of NATS, with its configuration and streams. */
  readonly nats: string;
  /** Folder with the spool of each gateway. */
  readonly spool: string;
  /** Folder with the `<role>.pid` of each running process. */
  readonly run: string;
  /** Folder with the `<role>.log` of each process, of bounded size. */
  readonly log: string;
  /** File with the passwords and keys of the node's processes; 0600. */
  readonly secrets: string;
  /** File that exists once the first start has saved its credentials. */
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
