import { ConfigurationError, createLogger, type Logger } from "@routeplane/runtime";
import { expect, it } from "vitest";
import { answeringUpstream } from "../../test/fake-upstream.ts";
import type { ProviderSet } from "../domain/provider-set.ts";
import { LoadedProviders } from "./loaded-providers.ts";
import type { Provider } from "./providers.ts";

function provider(name: string, models: readonly string[], apiKey = `sk-of-${name}`): Provider {
  return {
    name,
    protocol: "openai",
    upstream: { baseUrl: new URL("http://127.0.0.1:1/v1"), apiKey },
    secrets: [apiKey],
    models: models.map((id) => ({
      provider: name,
      id,
      prices: [{ aboveInputTokens: 0, price: { inputPicoUsd: 1n, outputPicoUsd: 2n } }],
      priceVersion: "file:1",
      outputField: "max_tokens",
    })),
    unpriced: [],
    findPriced: () => undefined,
  };
}

/** Providers whose loads give these lists one after another, or throw. */
function loadedProviders(first: readonly Provider[], ...loads: (readonly Provider[] | Error)[]) {
  const lines: { readonly level: string; readonly entry: Record<string, unknown>; readonly text: string }[] = [];
  const record = (level: string) => (entry: Record<string, unknown>, text: string) =>
    void lines.push({ level, entry, text });
  const log: Logger = createLogger("gateway", (line) => line, "silent");
  Object.assign(log, { info: record("info"), warn: record("warn"), error: record("error") });
  const closed: string[] = [];
  const loaded = new LoadedProviders({
    providers: first,
    load() {
      const next = loads.shift() ?? expect.fail("loaded too often");
      if (next instanceof Error) throw next;
      return next;
    },
    open: ({ name }) => ({
      ...answeringUpstream("application/json", ["{}"]),
      close: async () => void closed.push(name),
    }),
    clock: Date.now,
  });
  return { loaded, lines, closed, reload: () => loaded.reload(log) };
}

const idsOf = ({ directory }: ProviderSet): readonly string[] => directory.models.map(({ id }) => id);

it("a reload replaces models, prices and upstreams together, and says what has changed", () => {
  const former = [provider("a", ["m1", "m2"]), provider("b", ["m3"]), provider("c", ["m4"])];
  const { loaded, lines, reload } = loadedProviders(former, [
    provider("a", ["m1", "m5"]),
    provider("c", ["m4"], "sk-new"),
    provider("d", ["m6"]),
  ]);
  reload();
  expect(idsOf(loaded.current)).toEqual(["m1", "m5", "m4", "m6"]);
  expect([...loaded.current.upstreams.keys()]).toEqual(["a", "c", "d"]);
  const changes = { added: ["a/m5", "d", "d/m6"], removed: ["a/m2", "b", "b/m3"], changed: ["c"] };
  const entry = { providers: 3, models: 4, ...changes };
  expect(lines).toEqual([{ level: "info", entry, text: "providers reloaded" }]);
});

it("earlier upstreams stay open for the requests that began with them, and are closed after the last one", async () => {
  const { loaded, closed, reload } = loadedProviders([provider("old", ["m"])], [provider("new", ["m"])], []);
  const { current: former } = loaded;
  former.acquire();
  former.acquire();
  reload();
  reload();
  await expect.poll(() => closed).toEqual(["new"]);
  former.release();
  await Promise.resolve();
  expect(closed).toEqual(["new"]);
  former.release();
  await expect.poll(() => closed).toEqual(["new", "old"]);
});

it("a faulty file changes nothing, and is named with its fault", () => {
  const fault = new ConfigurationError("providers.yaml:3: providers[0].name: is required");
  const { loaded, lines, closed, reload } = loadedProviders([provider("a", ["m"])], fault, new Error("no disk"));
  const { current } = loaded;
  reload();
  reload();
  expect(loaded.current).toBe(current);
  const text = "reloading providers failed: the former ones stay in use";
  expect(lines).toEqual([
    { level: "error", entry: { fault: fault.message }, text },
    { level: "error", entry: { fault: "Error: no disk" }, text },
  ]);
  expect(closed).toEqual([]);
});

it("secrets of every load, and tokens of this product, are removed from texts", () => {
  const { loaded, reload } = loadedProviders(
    [provider("a", ["m"], "sk-first-key")],
    [provider("a", ["m"], "sk-second-key")],
  );
  reload();
  expect(loaded.redact('{"a":"sk-first-key","b":"sk-second-key","c":"rps_abc123"}')).toBe(
    '{"a":"[redacted]","b":"[redacted]","c":"rps_[redacted]"}',
  );
});

it("a stop closes the upstreams of every load, whoever uses them", async () => {
  const { loaded, closed, reload } = loadedProviders([provider("old", ["m"])], [provider("new", ["m"])]);
  loaded.current.acquire();
  reload();
  await loaded.stop();
  expect(closed.toSorted()).toEqual(["new", "old"]);
});
