import { useState } from "react";
import { applyTheme, THEMES, writeTheme } from "../design/theme.ts";
import { Field } from "./field.tsx";

/** Choice of light, dark or the system's colours, stored in this browser. */
export function ThemeSwitch() {
  const [theme, setTheme] = useState(applyTheme);
  return (
    <Field label="Colours">
      <select
        value={theme}
        onChange={({ target }) => {
          writeTheme(target.value);
          setTheme(applyTheme());
        }}
      >
        {THEMES.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </Field>
  );
}
