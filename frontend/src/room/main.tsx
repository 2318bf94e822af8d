import { createRoot } from "react-dom/client";
import { Page } from "../shared/Boundary";
import { Room } from "./Room";

const host = document.getElementById("room");
if (host?.dataset.interview)
  createRoot(host).render(
    <Page>
      <Room id={host.dataset.interview} discard={host.dataset.discard} />
    </Page>,
  );
