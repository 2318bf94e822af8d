/** Stands in for Excalidraw's Mermaid importer, which the board does not offer: it would bring Mermaid and D3, 180 MB of packages. */
export const parseMermaidToExcalidraw = () => Promise.reject(new Error("Mermaid is not part of this board."));
