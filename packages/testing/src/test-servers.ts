/** Addresses and passwords that the global set-up provides to every test file. */
export interface TestServers {
  readonly postgres: {
    readonly port: number;
    readonly superuserPassword: string;
    /** Name of the template database, which has the schema of every service. */
    readonly template: string;
    /** Passwords, keyed by database role. */
    readonly passwords: Readonly<Record<string, string>>;
  };
  /** Home of a node whose database has the schemas of every service and no rows, for `copyHome`. */
  readonly home: string;
  /** Path of the nats-server program. */
  readonly natsExecutable: string;
}

declare module "vitest" {
  interface ProvidedContext {
    readonly testServers: TestServers;
  }
}
