const STORAGE = "routeplane-theme";

/** Choices of colours; `system` follows the device. */
export const THEMES = ["system", "light", "dark"] as const;

/** Stores the choice in this browser. */
export function writeTheme(theme: string): void {
  localStorage.setItem(STORAGE, theme);
}

/** Applies the stored choice to the page, and returns it. */
export function applyTheme(): (typeof THEMES)[number] {
  const stored = localStorage.getItem(STORAGE);
  const theme = THEMES.find((name) => name === stored) ?? "system";
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
  return theme;
}
