import { createHash } from "node:crypto";
import { constantTimeEqual } from "./hash.ts";

/**
 * Callers of internal methods, each with a credential of its own. `installer` sets up a new node; `workload` is any service
 * of the operator's own that calls over gRPC.
 */
export const SERVICE_CALLERS = ["gateway", "policy", "usage", "installer", "workload"] as const;
export type ServiceCaller = (typeof SERVICE_CALLERS)[number];

/**
 * Credentials that a process accepts of internal callers. It knows their SHA-256 hashes only, so that it cannot call as one of
 * them; a fast hash is enough, because a token is 256 random bits.
 */
export interface ServiceCredentials {
  /** Caller that the token belongs to; undefined for a token of nobody. Takes the same time for every token. */
  callerOf(token: string): ServiceCaller | undefined;
}

export const SERVICE_CREDENTIALS_RULE = `must be <caller>:<SHA-256 of its token in hex>[,…], of the callers ${SERVICE_CALLERS.join(", ")}`;

/**
 * Reads `<caller>:<SHA-256 in hex>[,…]`. A caller may stand there several times: that is how its token is replaced.
 *
 * @returns undefined if it is not that
 */
export function parseServiceCredentials(text: string): ServiceCredentials | undefined {
  const accepted: { readonly caller: ServiceCaller; readonly hash: Buffer }[] = [];
  for (const part of text.split(",")) {
    const [, name, hex = ""] = /^([a-z]+):([0-9a-f]{64})$/.exec(part.trim()) ?? [];
    const caller = SERVICE_CALLERS.find((each) => each === name);
    if (caller === undefined) return undefined;
    accepted.push({ caller, hash: Buffer.from(hex, "hex") });
  }
  return {
    callerOf(token) {
      const presented = hashServiceToken(token);
      let owner: ServiceCaller | undefined;
      // All of them, so that the time does not tell which one fits.
      for (const { caller, hash } of accepted) if (constantTimeEqual(hash, presented)) owner = caller;
      return owner;
    },
  };
}

/** Writes what `parseServiceCredentials` reads. */
export function formatServiceCredentials(tokens: Readonly<Record<ServiceCaller, string>>): string {
  return SERVICE_CALLERS.map((caller) => `${caller}:${hashServiceToken(tokens[caller]).toString("hex")}`).join(",");
}

function hashServiceToken(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
