import pg from "pg";
import type { Login } from "./login.ts";

/** Connection string of each open connection. */
const loginOf = new WeakMap<pg.Client, string>();

type ConnectCallback = (error: Error | null, client?: pg.Client) => void;

/**
 * Class of the pool's connections. Each uses the connection string that is current when it connects. A fault of the connection string, e.g.
 * a file that cannot be read, fails the attempt to connect. The driver itself would throw it from the constructor, which would end the
 * process when the pool connects for waiting callers.
 */
export function clientOf(login: Login): typeof pg.Client {
  return class extends pg.Client {
    readonly #fault: Error | undefined;

    constructor(config: pg.ClientConfig) {
      const connectionString = login.current;
      const fault = faultOf(connectionString);
      super(fault === undefined ? { ...config, connectionString } : config);
      this.#fault = fault;
      loginOf.set(this, connectionString);
    }

    override connect(): Promise<pg.Client>;
    override connect(callback: ConnectCallback): void;
    override connect(callback?: ConnectCallback): Promise<pg.Client> | undefined {
      const fault = this.#fault;
      if (callback === undefined) return fault === undefined ? super.connect() : Promise.reject(fault);
      if (fault === undefined) super.connect(callback);
      else process.nextTick(callback, fault);
      return undefined;
    }
  };
}

/** True if a connection was made with another connection string than the one in use. */
export function isOfFormerLogin(client: pg.Client, login: Login): boolean {
  return loginOf.get(client) !== login.current;
}

function faultOf(connectionString: string): Error | undefined {
  try {
    void new pg.Client({ connectionString });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
