import { isInternal, publishedServices } from "@routeplane/rpc";
import { expect, it, onTestFinished, vi } from "vitest";
import { admission } from "./admission.ts";
import { createClient } from "./client.ts";
import { verifier } from "./verifier.ts";

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

it.each([undefined, ""])("refuses a credential that is %j, as of a variable that is not set", (missing) => {
  const url = "http://127.0.0.1:1";
  expect(() => createClient({ url, apiKey: missing as string })).toThrow(/^apiKey must be a token/);
  for (const open of [verifier, admission]) {
    expect(() => open({ url, serviceCredential: missing as string })).toThrow(/^serviceCredential must be a token/);
  }
});

it("keeps no timer of a call whose credential could not be read", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const apiKey = () => {
    throw new Error("the file is gone");
  };
  const client = createClient({ url: "http://127.0.0.1:1", apiKey });
  await expect(client.identity.whoAmI({})).rejects.toThrow("the file is gone");
  expect(vi.getTimerCount()).toBe(0);
});

it.each([NaN, Infinity, -1, 2 ** 31])("refuses a deadline of %s, which no timer can keep", (timeoutMs) => {
  const url = "http://127.0.0.1:1";
  expect(() => createClient({ url, apiKey: "rp_none", timeoutMs })).toThrow(/^timeoutMs must be a whole number/);
  expect(() => admission({ url, serviceCredential: "rps_none", timeoutMs })).toThrow(/^timeoutMs must be/);
});

it.each([NaN, Infinity, -1])("refuses a cache of %s bytes, which has no bound", (maxCacheBytes) => {
  const options = { url: "http://127.0.0.1:1", serviceCredential: "rps_none", maxCacheBytes };
  expect(() => verifier(options)).toThrow(/^maxCacheBytes must be a whole number/);
});
