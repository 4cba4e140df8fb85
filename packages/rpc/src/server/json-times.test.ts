import { create, createFileRegistry, type JsonValue } from "@bufbuild/protobuf";
import { FieldDescriptorProto_Label as Label, FieldDescriptorProto_Type as Type } from "@bufbuild/protobuf/wkt";
import { FileDescriptorProtoSchema, file_google_protobuf_timestamp } from "@bufbuild/protobuf/wkt";
import {
  KeySchema,
  MintKeyRequestSchema,
  RotateKeyRequestSchema,
  WhoAmIRequestSchema,
} from "@routeplane/contracts/auth";
import { ListRequestsRequestSchema, ListRequestsResponseSchema } from "@routeplane/contracts/usage";
import { describe, expect, it } from "vitest";
import { holdsTimes, timeFault } from "./json-times.ts";

const EXISTS = expect.stringMatching(/^must be a time on a date that exists/) as string;

/** `message Tree { repeated Timestamp list = 1; map<string, Timestamp> by_name = 2; Tree inner = 3; }` */
function treeSchema() {
  const TIME = ".google.protobuf.Timestamp";
  const of = (name: string, number: number, label: Label, typeName: string) => ({
    name,
    number,
    label,
    type: Type.MESSAGE,
    typeName,
  });
  const file = create(FileDescriptorProtoSchema, {
    name: "tree.proto",
    syntax: "proto3",
    dependency: ["google/protobuf/timestamp.proto"],
    messageType: [
      {
        name: "Tree",
        field: [
          of("list", 1, Label.REPEATED, TIME),
          { ...of("by_name", 2, Label.REPEATED, ".Tree.ByNameEntry"), jsonName: "byName" },
          of("inner", 3, Label.OPTIONAL, ".Tree"),
        ],
        nestedType: [
          {
            name: "ByNameEntry",
            field: [
              { name: "key", number: 1, label: Label.OPTIONAL, type: Type.STRING },
              of("value", 2, Label.OPTIONAL, TIME),
            ],
            options: { mapEntry: true },
          },
        ],
      },
    ],
  });
  const schema = createFileRegistry(file, () => file_google_protobuf_timestamp.proto).getMessage("Tree");
  if (schema === undefined) throw new Error("no such message");
  return schema;
}

describe("a time in JSON", () => {
  it.each([
    "2026-02-31T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2026-04-31T12:00:00+02:00",
    "2026-06-31T00:00:00.5Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-12-31T23:59:60Z",
    "2026-01-01T00:60:00Z",
    "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00",
    "2026-01-01",
  ])("does not exist: %s", (time) => {
    expect(timeFault(MintKeyRequestSchema, { expiresAt: time })).toEqual({ field: "expires_at", rule: EXISTS });
    expect(timeFault(MintKeyRequestSchema, { expires_at: time })?.field).toBe("expires_at");
  });

  it.each([
    "2024-02-29T23:59:59.123456789Z",
    "2000-02-29T00:00:00-11:30",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
  ])("exists: %s", (time) => {
    expect(timeFault(MintKeyRequestSchema, { expiresAt: time })).toBeUndefined();
  });

  it.each([
    [ListRequestsRequestSchema, (at: string) => ({ filter: { from: at } }), "filter.from"],
    [ListRequestsResponseSchema, (at: string) => ({ requests: [{}, { createdAt: at }] }), "requests[1].created_at"],
    [treeSchema(), (at: string) => ({ list: ["2026-01-01T00:00:00Z", at] }), "list[1]"],
    [treeSchema(), (at: string) => ({ byName: { a: at } }), 'by_name["a"]'],
    [treeSchema(), (at: string) => ({ byName: { "a\nb": at } }), "by_name[…]"],
    [treeSchema(), (at: string) => ({ inner: { inner: { list: [at] } } }), "inner.inner.list[0]"],
  ])("is found at any depth, in lists and in maps (%#)", (schema, json, field) => {
    expect(holdsTimes(schema)).toBe(true);
    expect(timeFault(schema, json("2026-02-31T00:00:00Z"))).toEqual({ field, rule: EXISTS });
    expect(timeFault(schema, json("2026-02-28T00:00:00Z"))).toBeUndefined();
  });

  it("is not looked for in a message that has none, and null stands for none", () => {
    expect(holdsTimes(WhoAmIRequestSchema)).toBe(false);
    expect(timeFault(KeySchema, { createdAt: null, name: "2026-02-31T00:00:00Z" })).toBeUndefined();
  });
});

it.each<[JsonValue, boolean]>([
  ["3600s", true],
  ["0.5s", true],
  ["-1s", true],
  ["3600s, or more", false],
  ["90seconds", false],
  ["1.s", false],
  ["1.0000000001s", false],
])("a duration is seconds and nothing else: %j", (grace, fits) => {
  const fault = timeFault(RotateKeyRequestSchema, { grace });
  expect(fault).toEqual(fits ? undefined : { field: "grace", rule: 'must be seconds, e.g. "90s"' });
});
