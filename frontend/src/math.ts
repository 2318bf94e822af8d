/** Server-rendered pages with Markdown. */
import { finish } from "./shared/markdown";

finish(document);
