// The SDK that is driven, and what its two major versions call differently.

/** The package that the command line names: `svix` or `svix-older`. */
export const PACKAGE = process.argv[2] ?? "svix";

const loaded = await import(PACKAGE);

/** The SDK. The older one is a CommonJS module, whose names are in `default`. */
export const sdk = loaded.default ?? loaded;

export const isNewest = PACKAGE === "svix";

/** Puts a whole resource. */
export function put(resource, ...args) {
  return isNewest ? resource.upsert(...args) : resource.update(...args);
}

/** Puts all headers of an endpoint. */
export function putHeaders(resource, ...args) {
  return isNewest ? resource.setHeaders(...args) : resource.updateHeaders(...args);
}

/** What limits an endpoint to these event types. */
export function only(...eventTypes) {
  return isNewest ? { eventTypes } : { filterTypes: eventTypes };
}

/** The event types that an endpoint is limited to. */
export function onlyOf(endpoint) {
  return isNewest ? endpoint.eventTypes : endpoint.filterTypes;
}
