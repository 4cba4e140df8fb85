import { type ComponentProps, useId } from "react";

interface TimeZoneFieldProps extends Omit<ComponentProps<"input">, "value" | "onChange" | "list"> {
  readonly timeZone: string;
  readonly onPick: (timeZone: string) => void;
}

/** Input for the name of a time zone. It suggests the time zones that the browser knows; any that the service knows can be typed. */
export function TimeZoneField({ timeZone, onPick, ...attributes }: TimeZoneFieldProps) {
  const offered = useId();
  return (
    <>
      <input
        {...attributes}
        list={offered}
        maxLength={100}
        autoComplete="off"
        spellCheck={false}
        placeholder="Europe/Berlin"
        value={timeZone}
        onChange={({ target }) => onPick(target.value)}
      />
      <datalist id={offered}>
        {["UTC", ...Intl.supportedValuesOf("timeZone")].map((zone) => (
          <option key={zone}>{zone}</option>
        ))}
      </datalist>
    </>
  );
}
