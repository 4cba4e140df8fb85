import { useId } from "react";
import styles from "./live-switch.module.css";
import type { LiveState } from "./use-live-requests.ts";

interface LiveSwitchProps {
  readonly isOn: boolean;
  /** False for a range that has ended, because no new request is in it. */
  readonly canFollow: boolean;
  readonly state: LiveState;
  readonly onChange: (isOn: boolean) => void;
}

/** Switch of the live tail, with its state. */
export function LiveSwitch({ isOn, canFollow, state, onChange }: LiveSwitchProps) {
  const id = useId();
  return (
    <div className={styles.live}>
      <span id={id} role="status" className={styles.state} data-at={state.at}>
        {canFollow ? stateText(state) : "This range has ended."}
      </span>
      <button
        type="button"
        role="switch"
        className={styles.switch}
        aria-checked={isOn}
        aria-describedby={id}
        disabled={!canFollow}
        onClick={() => onChange(!isOn)}
      >
        <span className={styles.track} aria-hidden="true" />
        Live tail
      </button>
    </div>
  );
}

function stateText(state: LiveState): string {
  switch (state.at) {
    case "off":
      return "";
    case "connecting":
      return "Connecting…";
    case "live":
      return "Live";
    case "paused":
      return "Paused while this tab is hidden";
    case "reconnecting":
      return `Reconnecting… ${state.error.rawMessage}`;
    case "failed":
      return `Stopped: ${state.error.rawMessage}`;
  }
}
