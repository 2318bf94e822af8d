/** What can't be drawn takes its own place on the page with it, and no more: React empties a whole page over an error that nobody catches. */
import { Component, type ReactNode } from "react";

/** Nothing is lost by it: what was written is on the server or in this browser. To try in place would not do, since a browser asks for a script once. */
function Again() {
  return (
    <button type="button" className="compact" onClick={() => location.reload()}>
      Load the page again
    </button>
  );
}

interface Props {
  /** What can't be shown, as a sentence. */
  says: string;
  /** What stands below that. */
  instead?: () => ReactNode;
  className?: string;
  children: ReactNode;
}

export class Boundary extends Component<Props, { problem: string | null }> {
  override state = { problem: null };

  static getDerivedStateFromError(problem: unknown): { problem: string } {
    return { problem: problem instanceof Error ? problem.message : String(problem) };
  }

  override render(): ReactNode {
    const { says, instead, className, children } = this.props;
    if (this.state.problem === null) return children;
    return (
      <div className={`stack ${className ?? ""}`}>
        <div className="banner bad row between" role="alert" title={this.state.problem}>
          {says}
          <Again />
        </div>
        {instead?.()}
      </div>
    );
  }
}

/** Around a whole page. */
export function Page({ children }: { children: ReactNode }) {
  return (
    <Boundary says="This page can't be shown. What was saved is kept." className="wrap page">
      {children}
    </Boundary>
  );
}
