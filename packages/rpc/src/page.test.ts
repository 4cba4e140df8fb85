import { toBinary } from "@bufbuild/protobuf";
import { ListPoliciesResponseSchema, PolicySchema } from "@routeplane/contracts/policy";
import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { fromPageToken } from "./page-token.ts";
import { MAX_PAGE_BYTES, type PagedList, toProtoPage } from "./page.ts";

interface Row {
  readonly id: string;
  readonly name: string;
}

const LIST: PagedList<Row, typeof PolicySchema> = {
  list: "policies",
  schema: PolicySchema,
  toProto: ({ id, name }) => ({ id, name }),
  positionOf: ({ id }) => id,
};

/** Reads all pages of rows as a service does: at most `size` of them, then what the token says. */
function pagesOf(rows: readonly Row[], size: number) {
  const pages: { readonly ids: readonly string[]; readonly bytes: number }[] = [];
  let after: string | undefined;
  do {
    const rest = rows.slice(rows.findIndex(({ id }) => id === after) + 1);
    const page = toProtoPage({ rows: rest.slice(0, size), hasMore: rest.length > size }, LIST);
    const response = create(ListPoliciesResponseSchema, { policies: page.messages });
    pages.push({
      ids: page.messages.map(({ id }) => id),
      bytes: toBinary(ListPoliciesResponseSchema, response).length,
    });
    after = fromPageToken("policies", page.nextPageToken, (id) => id);
  } while (after !== undefined);
  return pages;
}

it("ends a page early rather than exceed its bytes, and neither skips nor repeats a row", () => {
  const rows = Array.from({ length: 50 }, (_, index) => ({ id: `id-${index}`, name: "x".repeat(200_000) }));
  const pages = pagesOf(rows, 1_000);
  expect(pages.flatMap(({ ids }) => ids)).toEqual(rows.map(({ id }) => id));
  expect(pages.length).toBeGreaterThan(4);
  for (const { bytes } of pages) expect(bytes).toBeLessThanOrEqual(MAX_PAGE_BYTES);
});

it("counts the bytes in front of each row, however small the rows are", () => {
  const rows = Array.from({ length: 200_000 }, (_, index) => ({ id: `i${index}`, name: "" }));
  for (const { bytes } of pagesOf(rows, Infinity)) expect(bytes).toBeLessThanOrEqual(MAX_PAGE_BYTES);
});

it("makes a row that is larger than a page a page of its own", () => {
  const rows = ["a", "b", "c"].map((id) => ({ id, name: id === "b" ? "x".repeat(MAX_PAGE_BYTES) : "" }));
  expect(pagesOf(rows, 1_000).map(({ ids }) => ids)).toEqual([["a"], ["b"], ["c"]]);
});

it("ends a page at the requested number of rows", () => {
  const rows = ["a", "b", "c"].map((id) => ({ id, name: "" }));
  expect(pagesOf(rows, 2).map(({ ids }) => ids)).toEqual([["a", "b"], ["c"]]);
});
