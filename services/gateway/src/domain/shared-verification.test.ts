import { describe, expect, it } from "vitest";
import { callerWith } from "../../test/in-memory-ports.ts";
import type { Caller } from "./ports.ts";
import { shareVerification } from "./shared-verification.ts";

function world() {
  let now = 0;
  const asked: { readonly token: string; readonly answer: PromiseWithResolvers<Caller> }[] = [];
  const verify = shareVerification(
    (token) => {
      const answer = Promise.withResolvers<Caller>();
      asked.push({ token, answer });
      return answer.promise;
    },
    () => now,
  );
  return { verify, asked, pass: (ms: number) => (now += ms) };
}

describe("requests that share a verification", () => {
  it("are those with the same token that come at about the same time", async () => {
    const { verify, asked } = world();
    const both = [verify("a"), verify("a"), verify("b")];
    expect(asked.map(({ token }) => token)).toEqual(["a", "b"]);
    const caller = callerWith([]);
    for (const { answer } of asked) answer.resolve(caller);
    expect(await Promise.all(both)).toEqual([caller, caller, caller]);
  });

  it("never see an answer whose question is older than 20 ms", () => {
    const { verify, asked, pass } = world();
    void verify("a");
    pass(21);
    void verify("a");
    expect(asked).toHaveLength(2);
  });

  it("keep no answer, good or bad, for the next one", async () => {
    const { verify, asked } = world();
    const first = verify("a");
    asked[0]?.answer.resolve(callerWith([]));
    await first;
    const second = verify("a");
    asked[1]?.answer.reject(new Error("revoked"));
    await expect(second).rejects.toThrow("revoked");
    void verify("a");
    expect(asked).toHaveLength(3);
  });
});
