import { render } from "preact";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/parts.css";
import { followVisibility } from "./api/events";
import { App } from "./app";
import { followTheme } from "./theme";

followTheme();
followVisibility();
render(<App />, document.getElementById("app")!);
