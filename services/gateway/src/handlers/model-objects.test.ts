import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ListedModel, toAnthropicPage } from "./model-objects.ts";

const listed = (id: string): ListedModel => ({
  id,
  createdAt: new Date("2026-11-30T00:00:00Z"),
  model: {
    provider: "a",
    id,
    prices: [{ aboveInputTokens: 0, price: { inputPicoUsd: 1n, outputPicoUsd: 2n } }],
    priceVersion: "file:1",
    outputField: "max_tokens",
  },
  isAvailable: true,
  cheapestRequestNanoUsd: 1_000n,
});

interface Page {
  readonly data: readonly { readonly id: string }[];
  readonly has_more: boolean;
  readonly first_id: string | null;
  readonly last_id: string | null;
}

describe("a list in pages", () => {
  const all = Array.from({ length: 45 }, (_, index) => listed(`m${index}`));
  const ids = all.map(({ id }) => id);
  const pageOf = (models: readonly ListedModel[], query: Readonly<Record<string, string>>) =>
    toAnthropicPage(models, new URLSearchParams(query)) as Page;
  const idsOf = ({ data }: Page) => data.map(({ id }) => id);

  it("gives every model once in whatever direction and size it is read", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.nat(45), (limit, count) => {
        const models = all.slice(0, count);
        let page = pageOf(models, { limit: `${limit}` });
        const forward = idsOf(page);
        while (page.has_more) {
          page = pageOf(models, { limit: `${limit}`, after_id: page.last_id ?? "" });
          forward.push(...idsOf(page));
        }
        expect(forward).toEqual(ids.slice(0, count));
        if (count === 0) return;
        const last = ids[count - 1] ?? "";
        page = pageOf(models, { limit: `${limit}`, before_id: last });
        const backward = [last, ...idsOf(page).toReversed()];
        while (page.has_more) {
          page = pageOf(models, { limit: `${limit}`, before_id: page.first_id ?? "" });
          backward.push(...idsOf(page).toReversed());
        }
        expect(backward).toEqual(ids.slice(0, count).toReversed());
      }),
    );
  });

  it.each([
    [{ limit: "0" }, "limit"],
    [{ limit: "1001" }, "limit"],
    [{ limit: "-1" }, "limit"],
    [{ limit: "1e2" }, "limit"],
    [{ limit: "" }, "limit"],
    [{ after_id: "hidden" }, "after_id"],
    [{ before_id: "" }, "before_id"],
  ] as const)("is refused by name for %j", (query, param) => {
    expect(() => pageOf(all, query)).toThrow(expect.objectContaining({ status: 400, code: "invalid_value", param }));
  });
});
