import { type Database, openDatabase } from "@routeplane/postgres";
import { cloneDatabase, type TestDatabase } from "@routeplane/testing";
import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ColumnType, encodeArray, type ValueOf } from "../src/store/binary-array.ts";

let clone: TestDatabase;
let database: Database<unknown>;

beforeAll(async () => {
  clone = await cloneDatabase();
  const url = clone.url("routeplane_aggregator");
  database = openDatabase({ url, schema: "usage", applicationName: "test" });
});

afterAll(async () => {
  await database.stop();
  await clone.drop();
});

const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
const values: { readonly [Type in ColumnType]: fc.Arbitrary<ValueOf<Type>> } = {
  text: fc
    .oneof(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme-ascii", minLength: 60, maxLength: 300 }))
    .map((text) => text.replaceAll("\0", "")),
  boolean: fc.boolean(),
  smallint: fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
  integer: fc.integer(),
  bigint: fc.oneof(fc.bigInt(INT64), fc.bigInt(-(2n ** 53n), 2n ** 53n), fc.bigInt(-5n, 5n)),
  numeric: fc.oneof(fc.bigInt(-(10n ** 37n), 10n ** 37n), fc.bigInt(INT64), fc.bigInt(-20_000n, 20_000n)),
  timestamptz: fc.date({
    min: new Date("1990-01-01T00:00:00Z"),
    max: new Date("2100-01-01T00:00:00Z"),
    noInvalidDate: true,
  }),
  jsonb: fc.array(fc.record({ rule: fc.constantFrom("budget", 'a "quoted", {braced} rule', "größer") }), {
    maxLength: 3,
  }),
};

for (const [type, value] of Object.entries(values) as [ColumnType, fc.Arbitrary<ValueOf<ColumnType>>][]) {
  test(`an array of ${type} arrives in Postgres unchanged, also with nulls and without elements`, async () => {
    const arrays = fc.array(fc.option(value, { nil: null }), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(arrays, async (sent) => {
        const { rows } = await database.within({}, (transaction) =>
          sql<{ value: unknown }>`select unnest(${encodeArray(type, sent)}::${sql.raw(type)}[]) as value`.execute(
            transaction,
          ),
        );
        expect(rows.map((row) => row.value)).toEqual(sent);
      }),
      { numRuns: 50 },
    );
  });
}
