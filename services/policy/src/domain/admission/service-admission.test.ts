import { idTime, newId, parseId } from "@routeplane/domain";
import { expect, it } from "vitest";
import { ownRequestId } from "./service-admission.ts";

it("gives each service an id space of its own, in which an id keeps its time", () => {
  const services = [newId("svc"), newId("svc")].map((serviceCredentialId) => ({
    serviceCredentialId,
    reaches: () => true,
  }));
  const requestIds = Array.from({ length: 200 }, () => newId("req"));
  const own = services.flatMap((service) => requestIds.map((id) => ownRequestId(service, id)));
  expect(new Set([...own, ...requestIds]).size).toBe(600);
  expect(own).toEqual(services.flatMap((service) => requestIds.map((id) => ownRequestId(service, id))));
  for (const [index, id] of own.entries()) {
    expect(parseId("req", id)).toBe(id);
    expect(idTime(id)).toBe(idTime(requestIds[index % 200] ?? id));
  }
});
