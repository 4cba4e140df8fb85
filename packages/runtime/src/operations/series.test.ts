import { beforeAll, expect, it } from "vitest";
import { counter, histogram, mergeMetrics, printMetrics, readMetrics, takeMetricsSnapshot } from "./metrics.ts";

const requests = counter({ name: "test_series_total", help: "By two labels.", labels: ["route", "code"] });
const answered = requests.series({ route: "/a", code: "ok" });

async function linesOf(name: string): Promise<readonly string[]> {
  return (await readMetrics()).text.split("\n").filter((line) => line.startsWith(name));
}

it("adds the new counts of a series at each scrape, once, to those counted by the same labels", async () => {
  answered.inc();
  answered.inc(2);
  requests.inc({ route: "/a", code: "ok" });
  expect(await linesOf("test_series_total")).toEqual(['test_series_total{route="/a",code="ok"} 4']);
  answered.inc();
  await takeMetricsSnapshot();
  expect(await linesOf("test_series_total")).toEqual(['test_series_total{route="/a",code="ok"} 5']);
});

const DURATIONS = [0, 0.0004, 0.001, 0.0011, 0.3, 299.9, 300, 300.1, 4_000];

/** Two histograms of the same durations, one observed by series. */
const byLabels = histogram({ name: "test_by_labels_seconds", help: "Durations.", labels: ["method"] });
const bySeries = histogram({ name: "test_by_series_seconds", help: "Durations.", labels: ["method"] });
beforeAll(() => {
  const series = bySeries.series({ method: "A" });
  bySeries.series({ method: "never observed" });
  for (const seconds of DURATIONS) {
    byLabels.observe({ method: "A" }, seconds);
    series.observe(seconds);
  }
});

it("shows a series of a histogram like one that is observed by its labels", async () => {
  const renamed = (await linesOf("test_by_labels_seconds")).map((line) => line.replace("by_labels", "by_series"));
  expect(renamed).toContain('test_by_series_seconds_bucket{le="+Inf",method="A"} 9');
  expect(await linesOf("test_by_series_seconds")).toEqual(renamed);
});

it("sums series of several processes", async () => {
  const snapshot = await takeMetricsSnapshot();
  const text = await printMetrics([await mergeMetrics([snapshot, snapshot]), snapshot]);
  expect(text).toContain('test_series_total{route="/a",code="ok"} 15');
  expect(text).toContain('test_by_series_seconds_bucket{le="0.001",method="A"} 9');
  expect(text).toContain('test_by_series_seconds_count{method="A"} 27');
});
