import { permits } from "@routeplane/credentials/scopes";
import type { Key } from "@routeplane/contracts/auth";
import { type ReactNode, useState } from "react";
import { Button } from "../../components/button.tsx";
import { CopyButton } from "../../components/copy-button.tsx";
import { Dialog, DialogActions } from "../../components/dialog.tsx";
import { Notice } from "../../components/notice.tsx";
import { TOKEN_VARIABLE } from "../../components/snippets/snippets.ts";
import { Snippets } from "../../components/snippets/snippets.tsx";
import { useSession } from "../../session/use-session.ts";
import styles from "./token-dialog.module.css";

/** Key with its new token. */
export interface KeyToken {
  readonly key: Key;
  readonly token: string;
}

interface TokenDialogProps {
  readonly title: string;
  readonly keyToken: KeyToken;
  readonly onClose: () => void;
  /** Facts about the token, shown beside it. */
  readonly children?: ReactNode;
}

/**
 * Shows a token once. The token is only in the state of the component that renders the dialog and, while it is open, in the document: never
 * in a cache, storage, an address or a log.
 */
export function TokenDialog({ title, keyToken: { key, token }, onClose, children }: TokenDialogProps) {
  const { gatewayUrl } = useSession();
  const [isCopied, setCopied] = useState(false);
  const [isWarned, setWarned] = useState(false);
  const onEscape = (): void => {
    if (isCopied || isWarned) onClose();
    else setWarned(true);
  };
  return (
    <Dialog title={title} onClose={onEscape}>
      <p className={styles.text}>
        This is the token of <bdi>{key.name}</bdi>. It is shown now and never again: the node keeps only a hash of it.
      </p>
      <div className={styles.token}>
        <code>{token}</code>
        <CopyButton text={token} what="the token" onCopied={() => setCopied(true)} />
      </div>
      {children}
      {isWarned && !isCopied && (
        <Notice kind="warn">The token is not copied. Press Escape again to close this and lose it.</Notice>
      )}
      {permits(key.scopes, "inference:invoke") && (
        <details className={styles.snippets}>
          <summary>Call a model with this token</summary>
          <p className={styles.text}>
            Put the token into the variable <code>{TOKEN_VARIABLE}</code>: the snippets read it from there.
          </p>
          <Snippets gatewayUrl={gatewayUrl} model="echo" />
        </details>
      )}
      <DialogActions>
        <Button kind="primary" onClick={onClose}>
          I have saved it
        </Button>
      </DialogActions>
    </Dialog>
  );
}
