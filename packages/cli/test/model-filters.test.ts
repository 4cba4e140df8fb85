import { Code } from "@connectrpc/connect";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { UsageService } from "@routeplane/contracts/usage";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { refusal, startFakeNode } from "./fake-node.ts";

/** Models with requests in the last 30 days. */
const RECENT = [
  { provider: "openai", model: "gpt-4o" },
  { provider: "openrouter", model: "openai/gpt-4o" },
  { provider: "openrouter", model: "anthropic/claude" },
  { provider: "azure", model: "gpt-4o" },
  { provider: "", model: "" },
];
/** Model whose last request is older. */
const OLD = { provider: "mistral", model: "Large" };

/** Start of the usage that a node keeps after it has dropped older usage. */
const KEPT_FROM = new Date("2019-03-01T00:00:00Z");

/** Runs a command line on a node with these models, and returns the filter that it sends. */
const filterOf = (...options: readonly string[]) => filterOn({}, ...options);

async function filterOn({ keptFrom }: { readonly keptFrom?: Date }, ...options: readonly string[]): Promise<object> {
  let filter: object | undefined;
  await using node = await startFakeNode((router) => {
    router.service(UsageService, {
      getUsage({ from }) {
        if (keptFrom !== undefined && from !== undefined && timestampDate(from) < keptFrom)
          throw refusal(Code.InvalidArgument, "FIELD_INVALID", "not kept", { kept_from: keptFrom.toISOString() });
        const isEver = from !== undefined && timestampDate(from).getUTCFullYear() < 2020;
        return { groups: isEver ? [...RECENT, OLD] : RECENT };
      },
      listRequests(request) {
        filter = request.filter;
        return {};
      },
    });
  });
  const home = { ROUTEPLANE_HOME: "/nonexistent", ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: "rp_live_env" };
  const { code, stderr } = await runCli(["cloud", "requests", ...options], home);
  return filter === undefined ? { code, stderr } : { ...filter };
}

describe.concurrent("--model and --provider", () => {
  it.each([
    ["--model gpt-4o", { model: "gpt-4o", provider: "" }],
    ["--model GPT-4O", { model: "gpt-4o", provider: "" }],
    ["--model azure/gpt-4o", { model: "gpt-4o", provider: "azure" }],
    ["--model Azure/GPT-4o", { model: "gpt-4o", provider: "azure" }],
    ["--model openai/gpt-4o", { model: "gpt-4o", provider: "openai" }],
    ["--model openrouter/openai/gpt-4o", { model: "openai/gpt-4o", provider: "openrouter" }],
    ["--model openai/gpt-4o --provider openrouter", { model: "openai/gpt-4o", provider: "openrouter" }],
    ["--model anthropic/claude", { model: "anthropic/claude", provider: "" }],
    ["--provider AZURE", { model: "", provider: "azure" }],
    ["--model mistral/large", { model: "Large", provider: "mistral" }],
    ["--provider mistral", { model: "", provider: "mistral" }],
  ])("%s selects the rows of the model that the gateway would call", async (line, filter) => {
    expect(await filterOf(...line.split(" "))).toMatchObject(filter);
  });

  it.each(["", " --from 2018-01-01", " --from 2018-01-01 --to 2019-01-01"])(
    "are found in the usage that is kept, if the node has dropped older usage: options%s",
    async (range) => {
      const line = `--model mistral/large${range}`.split(" ");
      expect(await filterOn({ keptFrom: KEPT_FROM }, ...line)).toMatchObject({ model: "Large", provider: "mistral" });
    },
  );

  it("are passed on with a note if they are not in the log and the models cannot be listed", async () => {
    expect(await filterOf("--model", "x/y")).toMatchObject({ model: "x/y", provider: "" });
    expect(await filterOf("--provider", "x")).toMatchObject({ model: "", provider: "x" });
  });
});
