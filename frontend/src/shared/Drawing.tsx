/** A board, loaded when it is first shown. What goes wrong with it stays in its place, with the words of the drawing. */
import { type ComponentProps, lazy, type ReactNode, Suspense } from "react";
import { Boundary } from "./Boundary";
import { pull, words } from "./scene";

const Board = lazy(() => import("./Board"));

export function Drawing({ loading, ...board }: ComponentProps<typeof Board> & { loading: ReactNode }) {
  const said = () => words(board.map ? pull(board.map) : (board.elements ?? []));
  return (
    <Boundary says="The drawing can't be shown. It is kept as it was drawn." instead={() => <div className="answer">{said()}</div>} className="inside">
      <Suspense fallback={<div className={board.map ? "board" : "board read"}>{loading}</div>}>
        <Board {...board} />
      </Suspense>
    </Boundary>
  );
}
