import { describe, expect, it } from "vitest";
import { formatMicroUsd, formatUsd } from "./money.ts";
import { printable, printableJson } from "./printable.ts";
import { block, displayWidth, table } from "./table.ts";
import { formatTime } from "./time.ts";

describe("money", () => {
  it.each([
    [0, "$0.00"],
    [1, "$0.000001"],
    [12, "$0.000012"],
    [10_000, "$0.01"],
    [1_500_000, "$1.50"],
    [5_000_000, "$5.00"],
    [1_234_567, "$1.234567"],
    [9_000_000_000_000_000, "$9,000,000,000.00"],
  ])("%i micro-USD is %s, exactly", (micro, usd) => {
    expect(formatUsd(micro)).toBe(usd);
  });

  it("shows both units", () => {
    expect(formatMicroUsd(5_000_000)).toBe("5000000 micro-USD ($5.00)");
  });
});

describe("times", () => {
  it("shows its offset, and is the same moment", () => {
    const shown = formatTime("2026-05-01T00:00:00.000Z");
    expect(shown).toMatch(/^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2} [+-]\d{2}:\d{2}$/);
    expect(Date.parse(shown.replace(" ", "T").replace(" ", ""))).toBe(Date.parse("2026-05-01T00:00:00Z"));
  });

  it.each([
    ["UTC", "2026-05-01 00:00:00 +00:00"],
    ["Europe/Berlin", "2026-05-01 02:00:00 +02:00"],
    ["America/New_York", "2026-04-30 20:00:00 -04:00"],
    ["Asia/Kathmandu", "2026-05-01 05:45:00 +05:45"],
  ])("can be shown by the clock of %s", (timeZone, shown) => {
    expect(formatTime("2026-05-01T00:00:00.000Z", timeZone)).toBe(shown);
  });
});

describe("untrusted text", () => {
  it("cannot control the terminal: control characters and direction marks are escaped", () => {
    expect(printable("a\u001b[2Jb\u009bc\u202ed\re\nf\u0007")).toBe(
      "a\\u001b[2Jb\\u009bc\\u202ed\\u000de\\u000af\\u0007",
    );
  });

  it("keeps every ordinary character", () => {
    expect(printable("Zoë 日本 🤖 \\ $%")).toBe("Zoë 日本 🤖 \\ $%");
  });

  it("is the same JSON value when it is escaped", () => {
    const value = { name: "a\u001b[2J\u009b\u202e\u007f" };
    const text = printableJson(value);
    expect(JSON.parse(text)).toEqual(value);
    expect(text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
  });
});

describe("tables", () => {
  const columns = [
    { header: "NAME", cell: ({ name }: { name: string }) => name },
    { header: "N", right: true, cell: ({ n }: { n: number }) => String(n) },
    { header: "NOTE", cell: () => "x" },
  ];

  it("align columns whatever the width of the characters", () => {
    const lines = table(columns, [
      { name: "plain", n: 1 },
      { name: "日本語", n: 100 },
      { name: "e\u0301", n: 20 },
    ]).split("\n");
    const end = lines.map((line) => displayWidth(line.slice(0, line.search(/x$|NOTE$/))));
    expect(new Set(end).size).toBe(1);
    expect(lines[0]).toBe("NAME      N  NOTE");
    expect(lines[1]).toBe("plain     1  x");
  });

  it("keep a row on one line", () => {
    expect(table(columns, [{ name: "a\nb", n: 1 }]).split("\n")).toHaveLength(2);
    expect(block([["name", "a\nb"]])).toBe("name  a\\u000ab");
  });

  describe("on a terminal", () => {
    const wide = [
      { header: "ID", cell: () => "pol_1" },
      { header: "NAME", cell: () => "a-name", leaveOutRank: 2 },
      { header: "SPEC", cell: () => "a long text", leaveOutRank: 1 },
    ];
    const at = (width: number): string => table(wide, [0], { dim: (text) => text, columns: width });

    it.each([
      [26, "ID     NAME    SPEC\npol_1  a-name  a long text"],
      [25, "ID     NAME\npol_1  a-name"],
      [12, "ID\npol_1"],
      [3, "ID\npol_1"],
    ])("of %i columns leave out what does not fit, in the order of the ranks", (width, text) => {
      expect(at(width)).toBe(text);
    });
  });
});
