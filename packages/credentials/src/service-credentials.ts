import { hash, timingSafeEqual } from "node:crypto";

/**
 * Callers of internal methods, each with an internal credential of its own. `installer` sets up a new node; `workload` is any
 * service of the operator's own that calls over gRPC.
 */
export const SERVICE_CALLERS = ["gateway", "policy", "usage", "console", "installer", "workload"] as const;
export type ServiceCaller = (typeof SERVICE_CALLERS)[number];

/**
 * Internal credentials that a process accepts. It knows only their SHA-256 hashes, so that it cannot call as one of the callers; a
 * fast hash is enough, because a token has 256 random bits.
 */
export interface ServiceCredentials {
  /** Caller that the token belongs to; undefined for an unknown token. Takes the same time for every token. */
  callerOf(token: string): ServiceCaller | undefined;
}

/** Format of the variable, for configuration errors. */
export const SERVICE_CREDENTIALS_RULE = `must be <caller>:<SHA-256 of its token in hex>[,…], of the callers ${SERVICE_CALLERS.join(", ")}`;

/**
 * Parses `<caller>:<SHA-256 in hex>[,…]`. A caller can have several tokens, so that one can be replaced.
 *
 * @returns undefined for any other text
 */
export function parseServiceCredentials(text: string): ServiceCredentials | undefined {
  const accepted: { readonly caller: ServiceCaller; readonly digest: Buffer }[] = [];
  for (const part of text.split(",")) {
    const [, name, hex = ""] = /^([a-z]+):([0-9a-f]{64})$/.exec(part.trim()) ?? [];
    const caller = SERVICE_CALLERS.find((serviceCaller) => serviceCaller === name);
    if (caller === undefined) return undefined;
    accepted.push({ caller, digest: Buffer.from(hex, "hex") });
  }
  return {
    callerOf(token) {
      const presented = hashServiceToken(token);
      let owner: ServiceCaller | undefined;
      // Compares with all of them, so that the time does not reveal which one matches.
      for (const { caller, digest } of accepted) if (timingSafeEqual(digest, presented)) owner = caller;
      return owner;
    },
  };
}

/** The text that `parseServiceCredentials` parses. */
export function formatServiceCredentials(tokens: Readonly<Record<ServiceCaller, string>>): string {
  return SERVICE_CALLERS.map((caller) => `${caller}:${hashServiceToken(tokens[caller]).toString("hex")}`).join(",");
}

function hashServiceToken(token: string): Buffer {
  // `hash` takes a third of the time of a Hash object, and no memory outside the heap: a third of a microsecond in each call of a service.
  return Buffer.from(hash("sha256", token, "hex"), "hex");
}
