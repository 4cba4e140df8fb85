import { expect, it } from "vitest";
import { pageOriginOf, parsePublicOrigin } from "./page-origin.ts";

const PUBLIC = new URL("https://console.example.com");

it.each([
  ["127.0.0.1:8090", { origin: "http://127.0.0.1:8090", isSecure: false, port: "8090" }],
  ["localhost", { origin: "http://localhost", isSecure: false, port: "" }],
  ["LOCALHOST:1", { origin: "http://localhost:1", isSecure: false, port: "1" }],
  ["[::1]:8090", { origin: "http://[::1]:8090", isSecure: false, port: "8090" }],
  ["console.example.com", { origin: "https://console.example.com", isSecure: true, port: "" }],
  ["Console.Example.COM", { origin: "https://console.example.com", isSecure: true, port: "" }],
])("serves %s", (host, origin) => {
  expect(pageOriginOf(host, PUBLIC)).toEqual(origin);
});

it.each([
  undefined,
  "",
  "evil.example",
  "evil.example:8090",
  "localhost.evil.example",
  "127.0.0.1.evil.example",
  "127.0.0.2",
  "127.0.0.1:99999",
  "127.0.0.1:8090@evil.example",
  "0.0.0.0:8090",
  "console.example.com:8443",
  "console.example.com.",
])("serves no host %s", (host) => {
  expect(pageOriginOf(host, PUBLIC)).toBeUndefined();
});

it.each([
  ["https://console.example.com", true],
  ["https://console.example.com:8443/", true],
  ["http://localhost:8090", true],
  ["http://console.example.com", false],
  ["https://console.example.com/path", false],
  ["https://user@console.example.com", false],
  ["https://console.example.com/?a", false],
  ["ftp://localhost", false],
  ["console.example.com", false],
])("takes %s as the address that people open: %s", (text, isTaken) => {
  expect(parsePublicOrigin(text) !== undefined).toBe(isTaken);
});
