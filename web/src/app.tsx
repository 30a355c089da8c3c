import { ErrorBoundary, LocationProvider, Route, Router, lazy, useLocation } from "preact-iso";
import type { ComponentType } from "preact";
import { useRef, useState } from "preact/hooks";
import type { Problem } from "./api/types";
import { KeyDialog } from "./parts/key_dialog";
import { PageHead } from "./parts/section";
import { ProblemView, problemOf } from "./parts/states";
import { Home } from "./pages/home";
import { toggleTheme, useTheme } from "./theme";

/** Addresses of views. The service answers these, and no others, with this page. */
const PAGES = /^\/(?:$|(?:new|simulations|plans|design-searches|runs|compare)(?:\/|$|\?))/;

/** A page's code, loaded when it is first wanted; a page that says so where it does not come. */
function view(load: () => Promise<ComponentType>) {
  return lazy(() =>
    load().catch(() => () => <ProblemView problem={NOT_LOADED} again={() => location.reload()} />),
  );
}

const NOT_LOADED: Problem = {
  type: "dashboard",
  title: "This page could not be loaded",
  detail: "The service does not answer, or has been replaced by a newer one.",
};

const New = view(() => import("./pages/new/page").then((module) => module.NewPage));
const SimulationList = view(() => import("./pages/lists").then((module) => module.SimulationList));
const PlanList = view(() => import("./pages/lists").then((module) => module.PlanList));
const DesignSearchList = view(() => import("./pages/lists").then((module) => module.DesignSearchList));
const DesignSearchPage = view(() => import("./pages/designs/page").then((module) => module.DesignSearchPage));
const SimulationPage = view(() => import("./pages/simulation/page").then((module) => module.SimulationPage));
const PlanPage = view(() => import("./pages/plan/page").then((module) => module.PlanPage));
const RunsPage = view(() => import("./pages/runs/list").then((module) => module.RunsPage));
const RunPage = view(() => import("./pages/runs/page").then((module) => module.RunPage));
const ComparePage = view(() => import("./pages/compare").then((module) => module.ComparePage));

const LINKS: [string, string][] = [
  ["/new", "New"],
  ["/simulations", "Simulations"],
  ["/plans", "Plans"],
  ["/design-searches", "Designs"],
  ["/runs", "Runs"],
  ["/compare", "Compare"],
];

export function App() {
  const [error, setError] = useState<unknown>(null);
  const shown = useRef(location.pathname);
  const moved = () => {
    setError(null);
    // Another view, and not only another filter: readers and the keyboard start at its top.
    if (location.pathname !== shown.current) document.getElementById("main")?.focus({ preventScroll: true });
    shown.current = location.pathname;
  };
  return (
    <LocationProvider scope={PAGES}>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <TopBar />
      <main id="main" tabIndex={-1}>
        {error !== null ? (
          <ProblemView problem={problemOf(error)} again={() => location.reload()} />
        ) : (
          <ErrorBoundary onError={setError}>
            <Router onRouteChange={moved}>
              <Route path="/" component={Home} />
              <Route path="/new" component={New} />
              <Route path="/simulations" component={SimulationList} />
              <Route path="/simulations/:id" component={SimulationPage} />
              <Route path="/plans" component={PlanList} />
              <Route path="/plans/:id" component={PlanPage} />
              <Route path="/design-searches" component={DesignSearchList} />
              <Route path="/design-searches/:id" component={DesignSearchPage} />
              <Route path="/runs" component={RunsPage} />
              <Route path="/runs/:id" component={RunPage} />
              <Route path="/compare" component={ComparePage} />
              <Route default component={NoSuchPage} />
            </Router>
          </ErrorBoundary>
        )}
      </main>
    </LocationProvider>
  );
}

function TopBar() {
  const { path } = useLocation();
  const theme = useTheme();
  const other = theme === "dark" ? "light" : "dark";
  return (
    <header class="top">
      <a class="brand" href="/">
        <img src="/assets/icon.svg" alt="" width="22" height="22" />
        Headroom
      </a>
      <nav aria-label="Main">
        {LINKS.map(([href, label]) => (
          <a href={href} aria-current={path.startsWith(href) ? "page" : undefined}>
            {label}
          </a>
        ))}
      </nav>
      <div class="top-end">
        <KeyDialog />
        <a class="quiet" href="/docs">
          API
        </a>
        <button type="button" class="quiet" onClick={toggleTheme} aria-label={`Use ${other} colours`}>
          <span aria-hidden="true">{theme === "dark" ? "☀" : "☾"}</span>
        </button>
      </div>
    </header>
  );
}

function NoSuchPage() {
  return (
    <PageHead title="There is no such page">
      Nothing of this service is at <code>{location.pathname}</code>. <a href="/">Start from the beginning</a>
    </PageHead>
  );
}
