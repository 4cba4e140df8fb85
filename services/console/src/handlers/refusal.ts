import { Code, ConnectError } from "@connectrpc/connect";

/** Error response to a request that this process refuses itself, without a call to a service. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: Code;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: Code, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** Converts a refusal to an error in the format of the services. */
export function toRefusalError({ message, code }: Refusal): ConnectError {
  return new ConnectError(message, code);
}

export function methodNotAllowed(allow: string): Refusal {
  return new Refusal(405, Code.Unimplemented, `the method is not served here: use ${allow}`, { allow });
}

export function notSignedIn(): Refusal {
  return new Refusal(401, Code.Unauthenticated, "there is no session in this browser: sign in");
}
