import { createVerifier } from "@routeplane/rpc";
import { createLogger } from "@routeplane/runtime";
import { breakable, eventually } from "@routeplane/testing";
import { expect, it } from "vitest";
import { startAuthUnderTest } from "./auth-under-test.ts";

it("logs the loss of the change feed once and its recovery once, each time it happens", async () => {
  const auth = await startAuthUnderTest();
  const transport = breakable(await auth.replica());
  const lines: string[] = [];
  const log = createLogger("a-service", (line) => (lines.push(line), ""), "info");
  const time = { skipped: 0 };
  const verifier = createVerifier(transport, { log, monotonic: () => performance.now() + time.skipped });
  const levels = () => lines.map((line) => (JSON.parse(line) as { level: string }).level);
  const { token } = await auth.rootKey();
  // A result is cached only while the feed is live.
  await eventually(async () => {
    const { calls } = transport;
    await verifier.verify(token);
    return transport.calls === calls;
  });
  for (const round of [1, 2]) {
    transport.feedStalled = true;
    time.skipped += 2_600;
    await eventually(() => levels().length === 2 * round - 1);
    // Further watches fail too, and nothing more is logged.
    const { calls } = transport;
    await eventually(async () => {
      await verifier.verify(token);
      return transport.calls >= calls + 40;
    });
    expect(levels()).toEqual(["warn", "info", "warn"].slice(0, 2 * round - 1));
    transport.feedStalled = false;
    await eventually(() => levels().length === 2 * round);
  }
  expect(levels()).toEqual(["warn", "info", "warn", "info"]);
  expect(lines.join("\n")).not.toContain(token);
  await verifier.stop();
  await auth.stop();
});
