import { create } from "@bufbuild/protobuf";
import { AuditEntrySchema } from "@routeplane/contracts/audit";
import { fromPageToken } from "@routeplane/rpc/page-token";
import { expect, test } from "vitest";
import { type AuditPage, mergeAuditPages } from "./merged-log.ts";

/** Log of a service, paged by id. A page may have fewer entries than requested. */
function logOf(ids: readonly string[], mostOfPage = Infinity): (size: number, token: string) => AuditPage {
  return (size, token) => {
    const after = fromPageToken("audit-entries", token, (id) => id);
    const left = ids
      .toSorted()
      .toReversed()
      .filter((id) => after === undefined || id < after);
    const entries = left.slice(0, Math.min(size, mostOfPage)).map((id) => create(AuditEntrySchema, { id }));
    return { entries, nextPageToken: left.length > entries.length ? "more" : "" };
  };
}

/** Ids of all pages of the merged logs. */
function readAll(logs: readonly ReturnType<typeof logOf>[], size: number): readonly (readonly string[])[] {
  const pages: (readonly string[])[] = [];
  for (let token = "", isFirst = true; isFirst || token !== ""; isFirst = false) {
    const page = mergeAuditPages(
      logs.map((log) => log(size, token)),
      size,
    );
    pages.push(page.entries.map(({ id }) => id));
    token = page.nextPageToken;
  }
  return pages;
}

test("pages through all logs as one, newest first", () => {
  const pages = readAll([logOf(["a1", "a4", "a5"]), logOf(["a2", "a6"]), logOf(["a3"])], 2);
  expect(pages).toEqual([
    ["a6", "a5"],
    ["a4", "a3"],
    ["a2", "a1"],
  ]);
});

test("neither skips nor repeats an entry, however the logs are split into pages", () => {
  const ids = Array.from({ length: 40 }, (_, index) => `a${String(index).padStart(2, "0")}`);
  for (const most of [1, 2, 3, Infinity]) {
    for (const size of [1, 3, 7, 40]) {
      const logs = [0, 1, 2].map((rest) =>
        logOf(
          ids.filter((_, index) => (index * index) % 3 === rest),
          rest === 1 ? most : Infinity,
        ),
      );
      expect(readAll(logs, size).flat()).toEqual(ids.filter((_, index) => (index * index) % 3 < 2).toReversed());
    }
  }
});

test("has one empty page if no log has an entry", () => {
  expect(readAll([logOf([]), logOf([])], 5)).toEqual([[]]);
});
