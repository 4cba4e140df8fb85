import { describe, expect, it } from "vitest";
import { createModelNames } from "./model-names.ts";

const names = createModelNames([
  { provider: "openai", id: "gpt-4o" },
  { provider: "openai", id: "gpt-4" },
  { provider: "azure", id: "gpt-4o", aliases: ["Default", "gpt-4"] },
  { provider: "hub", id: "openai/gpt-4o", aliases: ["default"] },
]);

describe("the name of a model", () => {
  it.each([
    ["gpt-4o", "openai", "gpt-4o"],
    [" AZURE/GPT-4O ", "azure", "gpt-4o"],
    ["openai/gpt-4o", "openai", "gpt-4o"],
    ["hub/openai/gpt-4o", "hub", "openai/gpt-4o"],
    ["default", "azure", "gpt-4o"],
  ])("%j means one model: that of %s", (text, provider, id) => {
    expect(names.find(text)).toMatchObject({ provider, id });
  });

  it("may be an alias in place of the id of another model, which keeps its full name", () => {
    expect(names.find("gpt-4")).toMatchObject({ provider: "azure" });
    expect(names.find("openai/gpt-4")).toMatchObject({ provider: "openai", id: "gpt-4" });
  });

  it("does not name a model of another provider, and an alias is not an id at the provider", () => {
    expect(names.find("azure/default")).toBeUndefined();
    expect(names.findServed("azure", "gpt-4")).toBeUndefined();
    expect(names.findServed("openai", "GPT-4")).toMatchObject({ id: "gpt-4" });
  });
});
