// Where things are shown: the operator's app and the portal have pages of the same kinds at different paths.
import { router } from './router.svelte';

const part = encodeURIComponent;
const inPortal = () => router.base !== '';

export const place = {
  message: (id: string) => `${router.base}/messages/${part(id)}`,
  /** The messages of an application, or of the portal's own. */
  messages: (appId?: string) => (inPortal() || !appId ? `${router.base}/messages` : `/messages?application=${part(appId)}`),
  application: (id: string) => (inPortal() ? '/portal' : `/applications/${part(id)}`),
  endpoint: (appId: string, id: string) => (inPortal() ? `/portal/endpoints/${part(id)}` : `/applications/${part(appId)}/endpoints/${part(id)}`),
  endpointEdit: (appId: string, id: string) => `${place.endpoint(appId, id)}/edit`,
  endpointNew: (appId: string) => (inPortal() ? '/portal/endpoints/new' : `/applications/${part(appId)}/endpoints/new`),
  source: (id: string) => `/sources/${part(id)}`,
  eventType: (name: string) => `${router.base}/event-types/${part(name)}`,
};
