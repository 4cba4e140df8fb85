import { timestampDate } from "@bufbuild/protobuf/wkt";
import { UsageService } from "@routeplane/contracts/usage";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { startFakeNode } from "./fake-node.ts";

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

/** Runs a command line on a node with these models, and returns the filter that it sends. */
async function filterOf(...options: readonly string[]): Promise<object> {
  let filter: object | undefined;
  await using node = await startFakeNode((router) => {
    router.service(UsageService, {
      getUsage({ from }) {
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

  it("are passed on with a note if they are not in the log and the models cannot be listed", async () => {
    expect(await filterOf("--model", "x/y")).toMatchObject({ model: "x/y", provider: "" });
    expect(await filterOf("--provider", "x")).toMatchObject({ model: "", provider: "x" });
  });
});
