/** Every page: the look, and the choice between light and dark. */
import "@fontsource-variable/inter";
import "@fontsource-variable/jetbrains-mono";
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

function current(): Theme {
  return stored() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
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
