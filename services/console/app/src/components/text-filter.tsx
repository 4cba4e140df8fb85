import { useId, useState } from "react";

/** Value that a filter suggests. */
export interface Suggestion {
  readonly value: string;
  /** Text beside the value, e.g. `1.2K requests`. */
  readonly hint: string;
}

interface TextFilterProps {
  readonly value: string;
  /** Values to choose from; any other can be typed. */
  readonly options: readonly Suggestion[];
  /** Called with a complete value: chosen from the list, or confirmed by Enter or by leaving the field. */
  readonly onChange: (value: string) => void;
  readonly maxLength: number;
  readonly id?: string;
  readonly "aria-describedby"?: string;
  readonly "aria-invalid"?: boolean;
}

/** Input for a filter text. To be placed in a `Field`. */
export function TextFilter({ value, options, onChange, ...input }: TextFilterProps) {
  const listId = useId();
  const [text, setText] = useState(value);
  const [applied, setApplied] = useState(value);
  // The filter was changed by another control, e.g. removed by its chip.
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
