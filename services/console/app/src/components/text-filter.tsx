import { useId, useState } from "react";

/** Value that a filter suggests. */
export interface Suggestion {
  readonly value: string;
  /** Text beside it, e.g. `1.2K requests`. */
  readonly hint: string;
}

interface TextFilterProps {
  readonly value: string;
  /** Values to choose from; any other can be typed. */
  readonly options: readonly Suggestion[];
  /** Called with a value that is complete: chosen, or left by Enter or by moving on. */
  readonly onChange: (value: string) => void;
  readonly maxLength: number;
  readonly id?: string;
  readonly "aria-describedby"?: string;
  readonly "aria-invalid"?: boolean;
}

/** Input of a text to filter by. It goes into a `Field`. */
export function TextFilter({ value, options, onChange, ...input }: TextFilterProps) {
  const listId = useId();
  const [text, setText] = useState(value);
  const [applied, setApplied] = useState(value);
  // The filter was changed elsewhere, e.g. removed by its chip.
  if (applied !== value) {
    setApplied(value);
    setText(value);
  }
  const apply = (next: string): void => {
    if (next.trim() !== value) onChange(next.trim());
  };
  return (
    <>
      <input
        {...input}
        type="search"
        list={options.length === 0 ? undefined : listId}
        value={text}
        autoComplete="off"
        spellCheck={false}
        placeholder="any"
        onChange={({ target }) => {
          setText(target.value);
          if (target.value === "" || options.some((option) => option.value === target.value)) apply(target.value);
        }}
        onBlur={() => apply(text)}
        onKeyDown={({ key }) => {
          if (key === "Enter") apply(text);
        }}
      />
      {options.length > 0 && (
        <datalist id={listId}>
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.hint}
            </option>
          ))}
        </datalist>
      )}
    </>
  );
}
