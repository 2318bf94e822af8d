/** Server-rendered pages with formulas. */
import { renderMath } from "./shared/math";

renderMath(document.body);
