// The portal in another page's frame tells that page how high it is, so that the frame needs no bar of its own.

export const isFramed = window.parent !== window;

/** Tells the page around the height, now and whenever it changes, until the returned function is called. */
export function tellHeight(origin: string | undefined): () => void {
  if (!isFramed) return () => undefined;
  let told = -1;
  const tell = () => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    if (height === told) return;
    told = height;
    // The height is no secret: without a named origin, whoever frames the portal may know it.
    window.parent.postMessage({ type: 'posthouse:height', height }, origin ?? '*');
  };
  const changes = new ResizeObserver(tell);
  changes.observe(document.body);
  tell();
  return () => changes.disconnect();
}
