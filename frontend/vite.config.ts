import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const ELSEWHERE = "https://esm.sh/";

/**
 * The board's fonts, from this host and no other. Excalidraw would ask a public host for what it does not find; that address becomes our own, and a
 * build that still knows it fails. Xiaolai, 12 MB of Chinese handwriting, is left out: such text shows in the system's font.
 */
function boardFonts(): Plugin {
  const from = new URL("./node_modules/@excalidraw/excalidraw/dist/prod/fonts", import.meta.url).pathname;
  return {
    name: "board-fonts",
    apply: "build",
    transform: (code, id) => (id.includes("/@excalidraw/") && code.includes(ELSEWHERE) ? code.replaceAll(ELSEWHERE, "${location.origin}/static/excalidraw/") : null),
    generateBundle(_, bundle) {
      for (const [name, part] of Object.entries(bundle)) {
        if (part.type === "chunk" && part.code.includes(ELSEWHERE)) this.error(`${name} would call ${ELSEWHERE}`);
      }
    },
    closeBundle: () => cpSync(from, new URL("./dist/excalidraw/fonts", import.meta.url).pathname, { recursive: true, filter: (path) => !path.includes("Xiaolai") }),
  };
}

/** Beside each script and style sheet its compressed form, which WhiteNoise sends. Brotli would save 8 % more, or 16 % in 40 times the time. */
function compressed(): Plugin {
  const folder = new URL("./dist/assets/", import.meta.url);
  return {
    name: "compressed",
    apply: "build",
    writeBundle: () => {
      for (const name of readdirSync(folder).filter((name) => /\.(js|css)$/.test(name))) {
        const file = new URL(name, folder);
        writeFileSync(`${file.pathname}.gz`, gzipSync(readFileSync(file), { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  base: "/static/",
  plugins: [react(), boardFonts(), compressed()],
  build: {
    outDir: "dist",
    manifest: "manifest.json",
    target: "es2022",
    rollupOptions: {
      input: ["src/site.ts", "src/math.ts", "src/room/main.tsx", "src/report/main.tsx", "src/desk/main.tsx"],
    },
    // A font inside a style sheet would need an exception in the content security policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2000,
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
