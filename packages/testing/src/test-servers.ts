/** What the global set-up tells every test file. */
export interface TestServers {
  readonly postgres: {
    readonly port: number;
    readonly superuserPassword: string;
    /** Database with every service's schema, to be cloned. */
    readonly template: string;
    /** By role. */
    readonly passwords: Readonly<Record<string, string>>;
  };
  /** Path of the nats-server program. */
  readonly natsExecutable: string;
}

declare module "vitest" {
  interface ProvidedContext {
    readonly testServers: TestServers;
  }
}
