import { render } from "preact";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/parts.css";
import { App } from "./app";
import { followTheme } from "./theme";

followTheme();
render(<App />, document.getElementById("app")!);
