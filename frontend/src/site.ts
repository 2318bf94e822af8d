/** Every page: the look, the choice between light and dark, times, and parts that stay fresh. */
import "@fontsource-variable/inter";
import "@fontsource-variable/jetbrains-mono";
import { when } from "./shared/when";
import "./site.css";

const KEY = "roofline-theme";
type Theme = "light" | "dark";

function stored(): Theme | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : null;
  } catch {
    return null; // storage may be forbidden; the system's choice stands
  }
}

const DARK = matchMedia("(prefers-color-scheme: dark)");

function current(): Theme {
  return stored() ?? (DARK.matches ? "dark" : "light");
}

function apply(theme: Theme | null): void {
  if (theme) document.documentElement.dataset.theme = theme;
  for (const button of document.querySelectorAll<HTMLButtonElement>("[data-theme-toggle]")) {
    const next = current() === "dark" ? "light" : "dark";
    button.setAttribute("aria-label", `Use ${next} colours`);
    button.textContent = current() === "dark" ? "☀" : "☾";
  }
}

apply(stored());
DARK.addEventListener("change", () => apply(stored())); // many systems change with the time of day
document.addEventListener("click", (event) => {
  const button = (event.target as Element).closest("[data-theme-toggle]");
  if (!button) return;
  const next: Theme = current() === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // The choice then lasts for this page.
  }
  apply(next);
});

/** The server writes times in UTC; a page shows them in the reader's own zone. */
function localise(part: ParentNode): void {
  for (const time of part.querySelectorAll<HTMLTimeElement>("time[datetime]")) time.textContent = when(time.dateTime);
}

localise(document);

/** A part of a page with `data-live="seconds"` is fetched anew that often, until it comes without. What is open or focused stays so. */
function live(): void {
  const part = document.querySelector<HTMLElement>("[data-live]");
  if (!part) return;
  const again = () => setTimeout(() => void refresh(part), 1000 * Number(part.dataset.live));
  if (document.hidden) document.addEventListener("visibilitychange", again, { once: true });
  else again();
}

async function refresh(part: HTMLElement): Promise<void> {
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const fresh = answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id) : null;
    if (fresh) {
      localise(fresh);
      const focused = document.activeElement?.id;
      const open = [...part.querySelectorAll("details")].map((one) => one.open);
      part.replaceWith(fresh);
      fresh.querySelectorAll("details").forEach((one, i) => (one.open = open[i] ?? false));
      if (focused) document.getElementById(focused)?.focus();
    }
  } catch {
    // The network is away: what is shown is what was known; the next try may bring more.
  }
  live();
}

live();
