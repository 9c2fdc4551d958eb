// An id pasted anywhere on a page, outside of a field, leads to what it names.
import { get, type Lookup } from '../api/shapes';
import { router } from './router.svelte';
import { toasts } from './toast.svelte';

const ID = /^(msg|app|ep|src|atmpt)_[A-Za-z0-9]{20,30}$/;
const part = encodeURIComponent;

/** Where what was looked up is shown. */
export function whereIs(of: Lookup): string {
  if (of.msgId) return `/messages/${part(of.msgId)}${of.kind === 'attempt' && of.attemptId ? `?attempt=${part(of.attemptId)}` : ''}`;
  if (of.endpointId && of.appId) return `/applications/${part(of.appId)}/endpoints/${part(of.endpointId)}`;
  if (of.sourceId) return `/sources/${part(of.sourceId)}`;
  return `/applications/${part(of.appId ?? '')}`;
}

/** Listens until the returned function is called. */
export function jumpByPaste(): () => void {
  const pasted = (event: ClipboardEvent) => {
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.closest('input, textarea, select, [contenteditable], .editor, [role=dialog]')) return;
    const id = event.clipboardData?.getData('text/plain').trim() ?? '';
    if (!ID.test(id)) return;
    event.preventDefault();
    get<Lookup>(`/api/v1/lookup/${part(id)}`)
      .then((of) => router.go(whereIs({ ...of, attemptId: of.kind === 'attempt' ? id : undefined })))
      .catch(() => toasts.bad('Nothing in this environment has the id that was pasted.'));
  };
  addEventListener('paste', pasted);
  return () => removeEventListener('paste', pasted);
}
