// Every page of the operator's app. Pages come when they are first opened.
import type { Component } from 'svelte';

type Load = () => Promise<{ default: Component<{ params: Record<string, string> }> }>;

export const routes: [string, Load][] = [
  ['/', () => import('./pages/Overview.svelte')],
  ['/messages', () => import('./pages/Messages.svelte')],
  ['/messages/:msgId', () => import('./pages/Message.svelte')],
  ['/applications', () => import('./pages/Applications.svelte')],
  ['/applications/:appId', () => import('./pages/Application.svelte')],
  ['/applications/:appId/endpoints/new', () => import('./pages/EndpointEdit.svelte')],
  ['/applications/:appId/endpoints/:endpointId', () => import('./pages/Endpoint.svelte')],
  ['/applications/:appId/endpoints/:endpointId/edit', () => import('./pages/EndpointEdit.svelte')],
  ['/endpoints', () => import('./pages/Endpoints.svelte')],
  ['/sources', () => import('./pages/Sources.svelte')],
  ['/sources/new', () => import('./pages/SourceNew.svelte')],
  ['/sources/:sourceId', () => import('./pages/Source.svelte')],
  ['/event-types', () => import('./pages/EventTypes.svelte')],
  ['/event-types/:name', () => import('./pages/EventType.svelte')],
  ['/settings', () => import('./pages/Settings.svelte')],
  ['/settings/:part', () => import('./pages/Settings.svelte')],
  ['/tasks', () => import('./pages/Tasks.svelte')],
  ['/system', () => import('./pages/System.svelte')],
];
