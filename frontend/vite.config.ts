import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "/static/",
  plugins: [react()],
  build: {
    outDir: "dist",
    manifest: "manifest.json",
    target: "es2022",
    rollupOptions: {
      input: ["src/site.ts", "src/math.ts", "src/room/main.tsx", "src/report/main.tsx", "src/desk/main.tsx"],
    },
    // A font inside a style sheet would need an exception in the content security policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
