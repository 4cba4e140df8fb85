import { isInternal, publishedServices } from "@routeplane/rpc";
import { expect, it } from "vitest";
import { createClient } from "./client.ts";

it("has every method that a key or an operator may call", () => {
  const published = Object.values(publishedServices())
    .flat()
    .map(({ methods }) =>
      methods
        .filter((method) => !isInternal(method))
        .map(({ localName }) => localName)
        .join(" "),
    )
    .filter((names) => names !== "");
  const client = createClient({ url: "http://127.0.0.1:1", apiKey: "rp_none" });
  const internal = new Set(
    Object.values(publishedServices()).flatMap((services) =>
      services.flatMap(({ methods }) => methods.filter(isInternal).map(({ localName }) => localName)),
    ),
  );
  const own = Object.values(client).map((service) =>
    Object.keys(service)
      .filter((name) => !internal.has(name))
      .join(" "),
  );
  expect(own.toSorted()).toEqual(published.toSorted());
});

it("refuses an address that cannot be that of a node", () => {
  expect(() => createClient({ url: "127.0.0.1:8080", apiKey: "rp_none" })).toThrow(TypeError);
  expect(() => createClient({ url: "ftp://127.0.0.1", apiKey: "rp_none" })).toThrow("url must begin with http");
});
