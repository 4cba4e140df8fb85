import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { applyTheme } from "./design/theme.ts";
import { takeSignInCode } from "./session/sign-in-address.ts";
import "./design/tokens.css";
import "./design/base.css";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
applyTheme();
const signInCode = takeSignInCode();
createRoot(root).render(
  <StrictMode>
    <App signInCode={signInCode} />
  </StrictMode>,
);
