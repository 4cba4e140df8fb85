import { describe, expect, it } from "vitest";
import { createModelDirectory, type Deployment, type Model } from "../request/model-directory.ts";
import { hasOtherHops, orderHops } from "./hop-order.ts";

const PRICES = [{ aboveInputTokens: 0, price: { inputPicoUsd: 1n, outputPicoUsd: 1n } }] as const;

function model(provider: string, id: string, more: Partial<Model> = {}): Model {
  return { provider, id, prices: PRICES, priceVersion: "1", outputField: "max_tokens", ...more };
}

function deployment(provider: string, id: string, weight = 1): Deployment {
  return { provider, id, weight };
}

/** Names and groups of the hops of a request to the first of the models. */
function orderOf(models: readonly Model[], random = () => 0.5): readonly string[] {
  const [requested] = models;
  if (requested === undefined) throw new Error("no model");
  const order = orderHops(createModelDirectory(models), requested, random);
  return order.map(({ model: { provider, id }, group }) => `${group} ${provider}/${id}`);
}

describe("orderHops", () => {
  it("has the deployments, then each fallback with its deployments, in groups", () => {
    const shared = [deployment("b", "n", 3), deployment("c", "n")];
    const models = [
      model("a", "m", { deployments: [deployment("a", "m", 5), deployment("b", "m")], fallback: ["b/n", "c/o"] }),
      model("b", "m"),
      model("b", "n", { deployments: shared }),
      model("c", "n"),
      model("c", "o"),
    ];
    expect(orderOf(models)).toEqual(["0 a/m", "0 b/m", "1 b/n", "1 c/n", "2 c/o"]);
  });

  it("draws the deployments for each request", () => {
    const deployments = [deployment("a", "m"), deployment("b", "m")];
    const models = [model("a", "m", { deployments }), model("b", "m")];
    const draws = [0.9, 0.1];
    expect(orderOf(models, () => draws.shift() ?? 0)).toEqual(["0 b/m", "0 a/m"]);
  });

  it("has each model once, in its first place, however they name each other", () => {
    const models = [
      model("a", "m", { fallback: ["b/n", "a/m", "b/n", "c/o"] }),
      model("b", "n", { deployments: [deployment("b", "n"), deployment("a", "m")], fallback: ["d/p"] }),
      model("c", "o", { fallback: ["a/m"] }),
      model("d", "p"),
    ];
    expect(orderOf(models)).toEqual(["0 a/m", "1 b/n", "4 c/o"]);
  });

  it("has ten at most, and the requested model always", () => {
    const deployments = Array.from({ length: 19 }, (_, index) => deployment(`p${index}`, "m", 1_000));
    const requested = model("a", "m", { deployments: [...deployments, deployment("a", "m")] });
    const order = orderOf([requested, ...deployments.map(({ provider, id }) => model(provider, id))]);
    expect(order).toHaveLength(10);
    expect(order).toContain("0 a/m");
  });
});

describe("hasOtherHops", () => {
  it("is false for a model without any, and for one that takes back those of its provider", () => {
    const models = [model("a", "m"), model("a", "n", { fallback: [] }), model("a", "o", { fallback: ["a/m"] })];
    expect(models.map(hasOtherHops)).toEqual([false, false, true]);
  });
});
