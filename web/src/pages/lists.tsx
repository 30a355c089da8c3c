export function SimulationList() { return null; }
export function PlanList() { return null; }
