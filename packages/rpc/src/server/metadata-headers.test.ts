import { Metadata } from "@grpc/grpc-js";
import { expect, it } from "vitest";
import { MetadataHeaders } from "./metadata-headers.ts";

it("returns the same as the platform's headers with the same texts, for names in any case", () => {
  const metadata = new Metadata();
  metadata.set("authorization", "Bearer a");
  metadata.set("x-request-id", "b");
  metadata.set("details-bin", Buffer.from([0]));
  const [own, platform] = [
    MetadataHeaders.of(metadata),
    new Headers({ authorization: "Bearer a", "x-request-id": "b" }),
  ];
  for (const headers of [own, platform]) {
    headers.set("X-Client-Address", "c");
    headers.append("x-client-address", "d");
    headers.append("X-New", "e");
    headers.delete("X-Request-Id");
  }
  for (const name of ["Authorization", "x-request-id", "x-client-address", "x-new", "details-bin", "none"]) {
    expect([name, own.get(name), own.has(name)]).toEqual([name, platform.get(name), platform.has(name)]);
  }
  expect([...own].toSorted(([left], [right]) => (left < right ? -1 : 1))).toEqual([...platform]);
});
