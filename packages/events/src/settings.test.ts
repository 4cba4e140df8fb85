import { readEnvironment } from "@routeplane/runtime";
import { expect, test } from "vitest";
import { DEFAULT_STREAM_SETTINGS, readStreamSettings } from "./settings.ts";

const read = (variables: Readonly<Record<string, string>>) => readEnvironment(variables, readStreamSettings);

test("without variables the settings are the defaults", () => {
  expect(read({})).toEqual(DEFAULT_STREAM_SETTINGS);
});

test("every setting is read from its variable", () => {
  const variables = {
    ROUTEPLANE_NATS_STREAM: "ACME-USAGE",
    ROUTEPLANE_NATS_SUBJECT_PREFIX: "acme.usage",
    ROUTEPLANE_NATS_PARTITIONS: "16",
    ROUTEPLANE_NATS_MAX_BYTES: "42949672960",
    ROUTEPLANE_NATS_MAX_AGE_HOURS: "48",
    ROUTEPLANE_NATS_REPLICAS: "3",
  };
  expect(read(variables)).toEqual({
    stream: "ACME-USAGE",
    subjectPrefix: "acme.usage",
    partitions: 16,
    maxBytes: 42_949_672_960,
    maxAgeMs: 172_800_000,
    replicas: 3,
  });
});

test.each([
  ["ROUTEPLANE_NATS_STREAM", "acme.usage"],
  ["ROUTEPLANE_NATS_STREAM", "A".repeat(65)],
  ["ROUTEPLANE_NATS_SUBJECT_PREFIX", "acme.>"],
  ["ROUTEPLANE_NATS_SUBJECT_PREFIX", "acme..usage"],
  ["ROUTEPLANE_NATS_SUBJECT_PREFIX", "a".repeat(129)],
  ["ROUTEPLANE_NATS_PARTITIONS", "0"],
  ["ROUTEPLANE_NATS_PARTITIONS", "65"],
  ["ROUTEPLANE_NATS_MAX_BYTES", "1GiB"],
  ["ROUTEPLANE_NATS_MAX_AGE_HOURS", "0"],
  ["ROUTEPLANE_NATS_REPLICAS", "2"],
])("refuses %s=%s", (name, value) => {
  expect(() => read({ [name]: value })).toThrow(name);
});
