import { create } from "@bufbuild/protobuf";
import { type LoggedRequest, LoggedRequestSchema } from "@routeplane/contracts/usage";
import { expect, test } from "vitest";
import { addEnded, type LiveRows, MAX_LIVE_ROWS, NO_ROWS, withListed } from "./live-rows.ts";

const requests = (...ids: readonly (string | number)[]): readonly LoggedRequest[] =>
  ids.map((id) => create(LoggedRequestSchema, { id: `req_${id}` }));
const idsOf = (rows: readonly LoggedRequest[]): readonly string[] => rows.map(({ id }) => id.slice(4));

test("shows the requests that ended last first, above the listed ones", () => {
  const live = addEnded(addEnded(NO_ROWS, requests("c", "d")), requests("e"));
  expect(idsOf(withListed(live, requests("b", "a")))).toEqual(["e", "d", "c", "b", "a"]);
});

test("shows a request once, as it ended rather than as it was listed", () => {
  const live = addEnded(addEnded(NO_ROWS, requests("b")), requests("b"));
  expect(idsOf(withListed(live, requests("b", "a")))).toEqual(["b", "a"]);
});

test("keeps a bounded number, and leaves out the list once requests are missing in between", () => {
  let live: LiveRows = NO_ROWS;
  for (let first = 0; first <= MAX_LIVE_ROWS; first += 100) live = addEnded(live, requests(...hundredFrom(first)));
  expect(live.rows).toHaveLength(MAX_LIVE_ROWS);
  expect(idsOf(live.rows)[0]).toBe(String(MAX_LIVE_ROWS + 99));
  expect(withListed(live, requests("listed"))).toEqual(live.rows);
  expect(addEnded(live, []).isCut).toBe(true);
});

function hundredFrom(first: number): readonly number[] {
  return Array.from({ length: 100 }, (_, index) => first + index);
}
