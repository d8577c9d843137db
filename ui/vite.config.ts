import { defineConfig } from "vite";

// Relative addresses: the page works under any prefix, such as the API server's service proxy.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/kubewitness/web/page",
    emptyOutDir: true,
    target: "es2023",
    modulePreload: { polyfill: false },
    // Data URLs are not 'self' for the Content-Security-Policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
  },
});
