import { createVerifier } from "@routeplane/rpc";
import { createLogger } from "@routeplane/runtime";
import { breakable, eventually } from "@routeplane/testing";
import { expect, it } from "vitest";
import { startAuthUnderTest } from "./auth-under-test.ts";

it("warns once when the feed falls silent, says once that it is back, and again the next time", async () => {
  const auth = await startAuthUnderTest();
  const way = breakable(await auth.replica());
  const lines: string[] = [];
  const log = createLogger("a-service", (line) => (lines.push(line), ""), "info");
  const time = { skipped: 0 };
  const verifier = createVerifier(way, { log, monotonic: () => performance.now() + time.skipped });
  const told = () => lines.map((line) => (JSON.parse(line) as { level: string }).level);
  const { token } = await auth.rootKey();
  // Kept, so the feed is heard.
  await eventually(async () => {
    const { calls } = way;
    await verifier.verify(token);
    return way.calls === calls;
  });
  for (const round of [1, 2]) {
    way.feedStalled = true;
    time.skipped += 2_600;
    await eventually(() => told().length === 2 * round - 1);
    // A call after the other falls as silent, and nothing more is said.
    const { calls } = way;
    await eventually(async () => {
      await verifier.verify(token);
      return way.calls >= calls + 40;
    });
    expect(told()).toEqual(["warn", "info", "warn"].slice(0, 2 * round - 1));
    way.feedStalled = false;
    await eventually(() => told().length === 2 * round);
  }
  expect(told()).toEqual(["warn", "info", "warn", "info"]);
  expect(lines.join("\n")).not.toContain(token);
  await verifier.stop();
  await auth.stop();
});
