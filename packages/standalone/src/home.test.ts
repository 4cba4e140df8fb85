import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CHECKOUT, nodeHome } from "./home.ts";

describe("nodeHome", () => {
  it("is what ROUTEPLANE_HOME names, else .routeplane in the checkout", () => {
    expect(nodeHome({ ROUTEPLANE_HOME: "/somewhere/else" })).toBe("/somewhere/else");
    expect(nodeHome({ ROUTEPLANE_HOME: " " })).toBe(join(CHECKOUT, ".routeplane"));
  });
});
