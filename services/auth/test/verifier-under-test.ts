import { DomainError } from "@routeplane/domain";
import { createVerifier, type Verifier, type VerifierOptions } from "@routeplane/rpc";
import { type BreakableTransport, breakable, eventually } from "@routeplane/testing";
import { expect } from "vitest";
import type { AuthUnderTest } from "./auth-under-test.ts";

/** A service that verifies through one auth process, while keys are changed through another. */
export interface Verifying {
  readonly way: BreakableTransport;
  readonly verifier: Verifier;
  /** `ok`, or the reason for which the token is refused. */
  readonly ask: (token: string) => Promise<string>;
}

/** A verifier whose feed works; whoever starts it stops it. */
export async function startVerifying(auth: AuthUnderTest, options: VerifierOptions = {}): Promise<Verifying> {
  const way = breakable(await auth.replica());
  const verifier = createVerifier(way, { clock: () => auth.time.now, ...options });
  const ask = (token: string): Promise<string> => verifier.verify(token).then(() => "ok", reasonOf);
  const { token } = await auth.rootKey();
  // Warm: an answer is kept only once the feed is heard.
  await eventually(async () => {
    await ask(token);
    const { calls } = way;
    return (await ask(token)) === "ok" && way.calls === calls;
  });
  return { way, verifier, ask };
}

export const reasonOf = (error: unknown): string => (error instanceof DomainError ? error.reason : String(error));

/** A sub-key whose answer is kept. */
export async function warmKey(auth: AuthUnderTest, { way, ask }: Verifying) {
  const root = await auth.rootKey();
  const { key, token } = await auth.as(root.token).keys.mintKey({ name: "sub", scopes: ["inference:invoke"] });
  expect(await ask(token)).toBe("ok");
  const { calls } = way;
  expect(await ask(token)).toBe("ok");
  expect(way.calls).toBe(calls);
  return { root, id: key?.id ?? "", token };
}
