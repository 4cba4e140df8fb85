import { useState } from "react";
import { Button } from "./button.tsx";
import { Dialog, DialogActions } from "./dialog.tsx";
import { ThemeSwitch } from "./theme-switch.tsx";
import { TimeZoneSelect } from "./time-zone-select.tsx";

/** Preferences of this browser: colours and time zone. They are not stored on the node. */
export function Preferences() {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button onClick={() => setOpen(true)}>Preferences</Button>
      {isOpen && (
        <Dialog title="Preferences" onClose={() => setOpen(false)}>
          <ThemeSwitch />
          <TimeZoneSelect />
          <DialogActions>
            <Button kind="primary" onClick={() => setOpen(false)}>
              Done
            </Button>
          </DialogActions>
        </Dialog>
      )}
    </>
  );
}
