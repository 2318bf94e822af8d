import { createRoot } from "react-dom/client";
import { Room } from "./Room";

const host = document.getElementById("room");
if (host?.dataset.interview) createRoot(host).render(<Room id={host.dataset.interview} />);
