/** What a person is told when the line to the server has been gone for more than a moment. */
import { useEffect, useRef, useState } from "react";

const AWAY_MS = 4000;

/** `gone`: whether it is now. A screen reader says both that it is and that it is back. */
export function Away({ gone, className = "", children }: { gone: boolean; className?: string; children: string }) {
  const [away, setAway] = useState(false);
  const told = useRef(false);
  useEffect(() => {
    if (!gone) return setAway(false);
    const timer = setTimeout(() => {
      told.current = true;
      setAway(true);
    }, AWAY_MS);
    return () => clearTimeout(timer);
  }, [gone]);
  return (
    <div role="status">
      {away && (
        <p className={`banner warn ${className}`}>
          {children} If other pages load, this network may let no WebSockets through: try another one.
        </p>
      )}
      {!away && told.current && <span className="hidden-text">The line to the server is back.</span>}
    </div>
  );
}
