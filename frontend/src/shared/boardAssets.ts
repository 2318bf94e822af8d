/** Before Excalidraw loads: its fonts come from this host. */
declare global {
  interface Window {
    EXCALIDRAW_ASSET_PATH?: string;
  }
}
window.EXCALIDRAW_ASSET_PATH = "/static/excalidraw/";
export {};
