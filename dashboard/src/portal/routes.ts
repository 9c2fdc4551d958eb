// Every page of the portal. Pages come when they are first opened.
import type { Component } from 'svelte';

type Load = () => Promise<{ default: Component<{ params: Record<string, string> }> }>;

export const routes: [string, Load][] = [
  ['/', () => import('./pages/Endpoints.svelte')],
  ['/endpoints', () => import('./pages/Endpoints.svelte')],
  ['/endpoints/new', () => import('./pages/EndpointEdit.svelte')],
  ['/endpoints/:endpointId', () => import('./pages/Endpoint.svelte')],
  ['/endpoints/:endpointId/edit', () => import('./pages/EndpointEdit.svelte')],
  ['/event-types', () => import('./pages/EventTypes.svelte')],
  ['/event-types/:name', () => import('./pages/EventType.svelte')],
  ['/messages', () => import('./pages/Messages.svelte')],
  ['/messages/:msgId', () => import('./pages/Message.svelte')],
];
