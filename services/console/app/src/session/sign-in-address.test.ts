import { expect, test } from "vitest";
import { signInAddressOf } from "./sign-in-address.ts";

const read = (rest: string) => signInAddressOf(new URL(`http://127.0.0.1:18080${rest}`));

test("reads the code and the page to show", () => {
  expect(read("/sign-in#code=abc")).toEqual({ code: "abc", next: "/" });
  expect(read("/sign-in?next=%2Fkeys%3Fq%3Dx#code=abc")).toEqual({ code: "abc", next: "/keys?q=x" });
  expect(read("/sign-in")).toEqual({ code: undefined, next: "/" });
  expect(read("/sign-in#code=")).toEqual({ code: undefined, next: "/" });
});

test("reads none from the address of a page", () => {
  expect(read("/keys#code=abc")).toBeUndefined();
});

test.each([
  "//evil.example",
  "/\\evil.example",
  "/\t/evil.example",
  "/.//evil.example",
  "http://127.0.0.1:18080//evil.example",
  "\\\\evil.example",
  "https://evil.example/keys",
  "javascript:alert(1)",
  "http://127.0.0.1:9999/",
  "http://[",
])("shows the first page instead of %j", (next) => {
  expect(read(`/sign-in?next=${encodeURIComponent(next)}#code=abc`)).toEqual({ code: "abc", next: "/" });
});
