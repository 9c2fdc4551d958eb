import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

/** Where `npm run dev` finds a running server. */
const server = process.env.POSTHOUSE_URL ?? 'http://127.0.0.1:8080';

/** The development server answers the portal's path with its page, as Posthouse does. */
const portalPage: Plugin = {
  name: 'portal-page',
  configureServer(dev) {
    dev.middlewares.use((request, _, next) => {
      if (/^\/portal(\/|\?|$)/.test(request.url ?? '')) request.url = '/portal.html';
      next();
    });
  },
};

export default defineConfig({
  plugins: [svelte(), portalPage],
  build: {
    target: 'es2022',
    // The colours are written with light-dark().
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    // Inline data would need exceptions in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: ['index.html', 'portal.html'] },
  },
  server: {
    // The address of the page is kept in `Host`: the server compares it with `Origin`.
    proxy: Object.fromEntries(
      ['/api', '/ingest', '/docs', '/openapi.json', '/metrics'].map((path) => [
        path,
        { target: server, changeOrigin: false },
      ]),
    ),
  },
});
