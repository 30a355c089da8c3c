import { ErrorBoundary, LocationProvider, Route, Router, lazy, useLocation } from "preact-iso";
import { useRef, useState } from "preact/hooks";
import { KeyDialog } from "./parts/key_dialog";
import { PageHead } from "./parts/section";
import { ProblemView, problemOf } from "./parts/states";
import { Home } from "./pages/home";
import { toggleTheme, useTheme } from "./theme";

/** Addresses of views. The service answers these, and no others, with this page. */
const PAGES = /^\/(?:$|(?:new|simulations|plans|design-searches|runs|compare)(?:\/|$|\?))/;

const New = lazy(() => import("./pages/new/page").then((module) => module.NewPage));
const SimulationList = lazy(() => import("./pages/lists").then((module) => module.SimulationList));
const PlanList = lazy(() => import("./pages/lists").then((module) => module.PlanList));
const DesignSearchList = lazy(() => import("./pages/lists").then((module) => module.DesignSearchList));
const DesignSearchPage = lazy(() => import("./pages/designs/page").then((module) => module.DesignSearchPage));
const SimulationPage = lazy(() => import("./pages/simulation/page").then((module) => module.SimulationPage));
const PlanPage = lazy(() => import("./pages/plan/page").then((module) => module.PlanPage));
const RunsPage = lazy(() => import("./pages/runs/list").then((module) => module.RunsPage));
const RunPage = lazy(() => import("./pages/runs/page").then((module) => module.RunPage));
const ComparePage = lazy(() => import("./pages/compare").then((module) => module.ComparePage));

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
      <a href="/">Start from the beginning</a>
    </PageHead>
  );
}
