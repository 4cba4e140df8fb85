import { DomainError } from "@routeplane/domain";
import { createVerifier, type Verifier, type VerifierOptions } from "@routeplane/rpc";
import { type BreakableTransport, breakable, eventually } from "@routeplane/testing";
import { expect, onTestFinished } from "vitest";
import type { AuthUnderTest } from "./auth-under-test.ts";

/** A service that verifies through one auth process, while keys are changed through another. */
export interface VerifierUnderTest {
  /** Transport to that process, which tests break. */
  readonly transport: BreakableTransport;
  readonly verifier: Verifier;
  /** `ok`, or the reason for which the token is refused. */
  readonly resultOf: (token: string) => Promise<string>;
  /** A new root key, and a sub-key of it whose verification result is cached. */
  mintCachedKey(): Promise<{
    readonly root: { readonly id: string; readonly token: string };
    readonly id: string;
    readonly token: string;
  }>;
}

/** Starts a verifier and waits until its change feed is live. It stops with the test. */
export async function startVerifierUnderTest(
  auth: AuthUnderTest,
  options: VerifierOptions = {},
): Promise<VerifierUnderTest> {
  const transport = breakable(await auth.replica());
  const verifier = createVerifier(transport, { clock: () => auth.time.now, ...options });
  onTestFinished(() => verifier.stop());
  const resultOf = (token: string): Promise<string> => verifier.verify(token).then(() => "ok", reasonOf);
  const { token } = await auth.rootKey();
  // A result is cached only while the feed is live.
  await eventually(async () => {
    await resultOf(token);
    const { calls } = transport;
    return (await resultOf(token)) === "ok" && transport.calls === calls;
  });
  return {
    transport,
    verifier,
    resultOf,
    async mintCachedKey() {
      const root = await auth.rootKey();
      const { key, token: minted } = await auth
        .as(root.token)
        .keys.mintKey({ name: "sub", scopes: ["inference:invoke"] });
      expect(await resultOf(minted)).toBe("ok");
      const { calls } = transport;
      expect(await resultOf(minted)).toBe("ok");
      expect(transport.calls).toBe(calls);
      return { root, id: key?.id ?? "", token: minted };
    },
  };
}

export const reasonOf = (error: unknown): string => (error instanceof DomainError ? error.reason : String(error));
